"""The four networks of MLPerf Tiny with seeded random int8 weights: their shapes, not their accuracy.

Banbury et al., "MLPerf Tiny Benchmark" (NeurIPS 2021), section 4.
"""

import numpy as np
from tflite_builder import Builder

RELU_ZERO = -128


class Network:
    """Layers one after another; scales are chosen so that activations use the int8 range."""

    def __init__(self, shape, scale=0.05, zero_point=0, seed=1):
        self.b, self.rng = Builder(), np.random.default_rng(seed)
        self.shape, self.quant = tuple(shape), (np.float32(scale), zero_point)
        self.input = self.at = self.b.tensor(self.shape, *self.quant)

    def _weights(self, shape, channels, axis, depth):
        scales = (self.rng.uniform(0.006, 0.03, channels) / np.sqrt(depth)).astype(np.float32)
        weights = self.b.const(self.rng.integers(-127, 128, shape), "int8", scales, axis=axis)
        bias = self.b.const(self.rng.integers(-2000, 2000, channels), "int32", self.quant[0] * scales)
        out_scale = np.float32(float(self.quant[0]) * 0.8)  # about the spread of a sum of ``depth`` such products
        return [weights, bias], out_scale

    def _emit(self, kind, shape, quant, inputs, options, **values):
        output = self.b.tensor(shape, *quant)
        self.at = self.b.op(kind, inputs, [output], options, **values)
        self.shape, self.quant = tuple(shape), quant

    def conv(self, channels, kernel, stride=1, activation="RELU"):
        _, h, w, depth = self.shape
        kh, kw = kernel
        more, scale = self._weights((channels, kh, kw, depth), channels, 0, depth * kh * kw)
        quant = (scale, RELU_ZERO if activation == "RELU" else 5)
        shape = (1, -(-h // stride), -(-w // stride), channels)
        options = dict(strideH=stride, strideW=stride, padding="SAME", activation=activation)
        self._emit("CONV_2D", shape, quant, [self.at, *more], "Conv2DOptions", **options)

    def depthwise(self, stride=1):
        _, h, w, depth = self.shape
        more, scale = self._weights((1, 3, 3, depth), depth, 3, 9)
        shape = (1, -(-h // stride), -(-w // stride), depth)
        options = dict(strideH=stride, strideW=stride, padding="SAME", activation="RELU", depthMultiplier=1)
        self._emit(
            "DEPTHWISE_CONV_2D", shape, (scale, RELU_ZERO), [self.at, *more], "DepthwiseConv2DOptions", **options
        )

    def add(self, other, other_quant):
        quant = (np.float32(max(self.quant[0], other_quant[0]) * 1.2), RELU_ZERO)
        self._emit("ADD", self.shape, quant, [self.at, other], "AddOptions", activation="RELU")

    def average_pool(self, h, w):
        shape = (1, self.shape[1] // h, self.shape[2] // w, self.shape[3])
        options = dict(strideH=h, strideW=w, filterHeight=h, filterWidth=w, padding="VALID")
        self._emit("AVERAGE_POOL_2D", shape, self.quant, [self.at], "Pool2DOptions", **options)

    def flatten(self):
        shape = (1, int(np.prod(self.shape)))
        self._emit("RESHAPE", shape, self.quant, [self.at], "ReshapeOptions", newShape=np.array(shape, np.int32))

    def dense(self, outputs, activation="NONE"):
        depth = self.shape[-1]
        weight_scale = np.float32(0.018 / np.sqrt(depth))
        weights = self.b.const(self.rng.integers(-127, 128, (outputs, depth)), "int8", weight_scale)
        bias = self.b.const(self.rng.integers(-2000, 2000, outputs), "int32", self.quant[0] * weight_scale)
        scale = np.float32(float(self.quant[0]) * 0.8)
        quant = (scale, RELU_ZERO if activation == "RELU" else 12)
        self._emit(
            "FULLY_CONNECTED",
            (1, outputs),
            quant,
            [self.at, weights, bias],
            "FullyConnectedOptions",
            activation=activation,
        )

    def softmax(self):
        beta = 0.05 / float(self.quant[0])  # random weights: bring the logits to where softmax is not all or nothing
        self._emit("SOFTMAX", self.shape, (np.float32(1 / 256), -128), [self.at], "SoftmaxOptions", beta=beta)

    def finish(self):
        return self.b.finish([self.input], [self.at])


def ds_cnn():
    """Keyword spotting: 49x10 MFCC, 12 classes."""
    n = Network((1, 49, 10, 1), 0.58, 83)
    n.conv(64, (10, 4), 2)
    for _ in range(4):
        n.depthwise()
        n.conv(64, (1, 1))
    n.average_pool(25, 5)
    n.flatten()
    n.dense(12)
    n.softmax()
    return n.finish()


def resnet8():
    """Image classification: 32x32x3, 10 classes."""
    n = Network((1, 32, 32, 3), 1.0, -128)
    n.conv(16, (3, 3))
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        entry, shape, quant = n.at, n.shape, n.quant
        n.conv(channels, (3, 3), stride)
        n.conv(channels, (3, 3), activation="NONE")
        trunk, trunk_quant, trunk_shape = n.at, n.quant, n.shape
        if stride == 2:
            n.at, n.shape, n.quant = entry, shape, quant
            n.conv(channels, (1, 1), 2, activation="NONE")
        else:
            n.at, n.quant = entry, quant
        n.shape = trunk_shape
        n.add(trunk, trunk_quant)
    n.average_pool(8, 8)
    n.flatten()
    n.dense(10)
    n.softmax()
    return n.finish()


def mobilenet():
    """Visual wake words: MobileNetV1 0.25 on 96x96x3, 2 classes."""
    n = Network((1, 96, 96, 3), 1 / 255, -128)
    n.conv(8, (3, 3), 2)
    for channels, stride in (
        (16, 1),
        (32, 2),
        (32, 1),
        (64, 2),
        (64, 1),
        (128, 2),
        *[(128, 1)] * 5,
        (256, 2),
        (256, 1),
    ):
        n.depthwise(stride)
        n.conv(channels, (1, 1))
    n.average_pool(3, 3)
    n.flatten()
    n.dense(2)
    n.softmax()
    return n.finish()


def autoencoder():
    """Anomaly detection: 640 log-mel energies, dense layers, 640 outputs."""
    n = Network((1, 640), 0.39, 90)
    for outputs in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        n.dense(outputs, "RELU")
    n.dense(640)
    return n.finish()


# name -> (builder, MACs of MLPerf Tiny's shapes)
MODELS = {
    "ds_cnn": (ds_cnn, 2_656_768),
    "resnet8": (resnet8, 12_501_632),
    "mobilenet": (mobilenet, 7_489_664),
    "autoencoder": (autoencoder, 264_192),
}

# name -> file in a checkout of mlcommons/tiny
FILES = {
    "ds_cnn": "kws_ref_model.tflite",
    "resnet8": "pretrainedResnet_quant.tflite",
    "mobilenet": "vww_96_int8.tflite",
    "autoencoder": "ad01_int8.tflite",
}
