"""Networks that several tests compile: MLPerf Tiny's four (benchmarks/mlperf_tiny.py), and one with every operator."""

import numpy as np
from mlperf_tiny import MODELS, autoencoder, ds_cnn, mobilenet, resnet8
from tflite_builder import Builder

__all__ = ["MODELS", "autoencoder", "ds_cnn", "every_operator", "mobilenet", "resnet8"]


def every_operator():
    """One small network with every supported operator, and sizes that are multiples of nothing."""
    b, rng = Builder(), np.random.default_rng(5)
    q, p = (np.float32(0.04), 3), (np.float32(0.06), -9)

    def const(*values):
        return b.const(np.array(values), "int32")

    def weights(shape, channels, axis=0):
        scales = rng.uniform(0.003, 0.01, channels).astype(np.float32)
        bias = b.const(rng.integers(-500, 500, channels), "int32", np.float32(0.04) * scales)
        return [b.const(rng.integers(-127, 128, shape), "int8", scales, axis=axis), bias]

    def emit(kind, inputs, shape, quant=q, options=None, **values):
        output = b.tensor(shape, *quant)
        return b.op(kind, inputs, [output], options, **values)

    window = dict(strideH=1, strideW=1, padding="SAME")
    pool = dict(filterHeight=3, filterWidth=2, **window)
    x = b.tensor((1, 7, 5, 6), *q)
    y = emit(
        "CONV_2D",
        [x, *weights((9, 3, 3, 2), 9)],
        (1, 7, 5, 9),
        q,
        "Conv2DOptions",
        activation="RELU6",
        dilationHFactor=2,
        **window,
    )
    y = emit(
        "DEPTHWISE_CONV_2D",
        [y, *weights((1, 3, 3, 18), 18, 3)],
        (1, 7, 5, 18),
        q,
        "DepthwiseConv2DOptions",
        depthMultiplier=2,
        **window,
    )
    m = emit("MAX_POOL_2D", [y], (1, 7, 5, 18), q, "Pool2DOptions", **pool)
    a = emit("AVERAGE_POOL_2D", [y], (1, 7, 5, 18), q, "Pool2DOptions", **pool)
    y = emit("CONCATENATION", [m, a], (1, 7, 5, 36), q, "ConcatenationOptions", axis=-1)
    gate = emit("MEAN", [y, const(1, 2)], (1, 1, 1, 36), p, "ReducerOptions", keepDims=True)
    gate = emit("LOGISTIC", [gate], (1, 1, 1, 36), (np.float32(1 / 256), -128))
    y = emit("MUL", [y, gate], (1, 7, 5, 36), q, "MulOptions")
    y = emit("PAD", [y, b.const(np.array([[0, 0], [1, 0], [0, 2], [0, 0]]), "int32")], (1, 8, 7, 36), q, "PadOptions")
    s = emit(
        "STRIDED_SLICE",
        [y, const(0, 7, 0, 1), const(1, -9, 7, 36), const(1, -2, 3, 5)],
        (1, 4, 3, 7),
        q,
        "StridedSliceOptions",
    )
    t = emit("TRANSPOSE", [s, const(0, 2, 1, 3)], (1, 3, 4, 7), q, "TransposeOptions")
    t = emit("RESHAPE", [t], (1, 4, 3, 7), q, "ReshapeOptions", newShape=np.array([1, 4, 3, 7], np.int32))
    t = emit(
        "RESIZE_NEAREST_NEIGHBOR",
        [t, const(3, 5)],
        (1, 3, 5, 7),
        q,
        "ResizeNearestNeighborOptions",
        halfPixelCenters=True,
    )
    t = emit(
        "RESIZE_NEAREST_NEIGHBOR",
        [t, const(4, 3)],
        (1, 4, 3, 7),
        q,
        "ResizeNearestNeighborOptions",
        halfPixelCenters=True,
    )
    y = emit("ADD", [s, t], (1, 4, 3, 7), p, "AddOptions")
    r = emit("RELU", [y], (1, 4, 3, 7), q)
    h = emit("HARD_SWISH", [y], (1, 4, 3, 7), q, "HardSwishOptions")
    y = emit("SUB", [r, h], (1, 4, 3, 7), p, "SubOptions")
    y = emit("LEAKY_RELU", [y], (1, 4, 3, 7), q, "LeakyReluOptions", alpha=0.3)
    y = emit("TANH", [y], (1, 4, 3, 7), (np.float32(1 / 128), 0))
    y = emit("QUANTIZE", [y], (1, 4, 3, 7), p, "QuantizeOptions")
    y = emit("RELU6", [y], (1, 4, 3, 7), p)
    f = b.tensor((1, 4, 3, 7), dtype="float32")
    b.op("DEQUANTIZE", [y], [f], "DequantizeOptions")
    y = emit("QUANTIZE", [f], (1, 4, 3, 7), p, "QuantizeOptions")
    y = emit("QUANTIZE", [y], (1, 4, 3, 7), q, "QuantizeOptions")
    y = emit(
        "FULLY_CONNECTED",
        [emit("RESHAPE", [y], (1, 84), q, "ReshapeOptions"), *weights((11, 84), 11)],
        (1, 11),
        p,
        "FullyConnectedOptions",
    )
    y = emit("SOFTMAX", [y], (1, 11), (np.float32(1 / 256), -128), "SoftmaxOptions", beta=1.0)
    return b.finish([x], [y])
