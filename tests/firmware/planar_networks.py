"""Networks whose feature maps lie plane after plane: depthwise convolutions, and pools between them."""

import numpy as np
from tflite_builder import Builder


class Planes:
    """A chain of operators on one image, with seeded weights and scales that use the int8 range."""

    def __init__(self, shape, scale=0.05, zero=3, seed=0):
        self.b, self.rng = Builder(), np.random.default_rng(seed)
        self.shape, self.quant = tuple(shape), (np.float32(scale), zero)
        self.input = self.at = self.b.tensor((1, *shape), *self.quant)

    def _emit(self, kind, more, size, quant, options, **values):
        self.shape, self.quant = (*size, self.shape[2]), quant
        self.at = self.b.op(kind, [self.at, *more], [self.b.tensor((1, *self.shape), *quant)], options, **values)

    def _window(self, kernel, stride, dilation, same):
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
        size = [-(-s // t) if same else (s - r) // t + 1 for s, r, t in zip(self.shape, reach, stride)]
        return size, dict(strideH=stride[0], strideW=stride[1], padding="SAME" if same else "VALID")

    def depthwise(
        self,
        kernel,
        stride=(1, 1),
        dilation=(1, 1),
        same=True,
        activation="NONE",
        zero=-5,
        per_channel=True,
        bias=True,
        gain=1.0,
    ):
        size, options = self._window(kernel, stride, dilation, same)
        channels = self.shape[2]
        scales = (self.rng.uniform(0.2, 1.0, channels if per_channel else 1) * 0.02).astype(np.float32)
        weights = self.rng.integers(-127, 128, (1, *kernel, channels))
        more = [self.b.const(weights, "int8", scales, axis=3)]
        if bias:
            more.append(self.b.const(self.rng.integers(-9000, 9000, channels), "int32", self.quant[0] * scales))
        spread = float(self.quant[0]) * float(scales.mean()) * 74 * 74 * np.sqrt(kernel[0] * kernel[1])
        quant = (np.float32(spread / (40 * gain)), zero)
        options |= dict(
            dilationHFactor=dilation[0], dilationWFactor=dilation[1], depthMultiplier=1, activation=activation
        )
        self._emit("DEPTHWISE_CONV_2D", more, size, quant, "DepthwiseConv2DOptions", **options)

    def pool(self, kind, kernel, stride=(1, 1), same=True, activation="NONE"):
        size, options = self._window(kernel, stride, (1, 1), same)
        self._emit(
            f"{kind}_POOL_2D",
            [],
            size,
            self.quant,
            "Pool2DOptions",
            filterHeight=kernel[0],
            filterWidth=kernel[1],
            activation=activation,
            **options,
        )

    def relu(self, scale, zero):
        self._emit("RELU", [], self.shape[:2], (np.float32(scale), zero), None)

    def mean(self):
        axes = self.b.const(np.array([1, 2]), "int32")
        self._emit(
            "MEAN", [axes], (1, 1), (np.float32(float(self.quant[0]) * 0.4), 17), "ReducerOptions", keepDims=True
        )

    def finish(self):
        return self.b.finish([self.input], [self.at])
