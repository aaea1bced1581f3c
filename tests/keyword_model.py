"""A small keyword-spotting model with its front end, compiled by our own compiler: enough for
firmware of every board.
"""

from pathlib import Path

import numpy as np
from tflite_builder import Builder

from tinyflow.compile.artefact import CompiledModel, load_compiled
from tinyflow.compile.lower import lower
from tinyflow.frontend.mfcc.config import MfccConfig

LABELS = ("yes", "no", "_silence_", "_unknown_")


def keyword_tflite(frames: int, coefficients: int, channels: int = 8, seed: int = 0) -> bytes:
    """(1, frames, coefficients, 1) -> conv 3x3 stride 2, depthwise 3x3, conv 1x1, mean, fully connected, softmax -> (1,
    4).
    """
    rng = np.random.default_rng(seed)
    builder = Builder()

    def weights(*shape: int, axis: int):
        return builder.const(rng.integers(-127, 128, shape), "int8", rng.uniform(0.002, 0.01, shape[axis]), 0, axis)

    def bias(count: int):
        return builder.const(rng.integers(-500, 500, count), "int32", np.full(count, 1e-4))

    height, width = -(-frames // 2), -(-coefficients // 2)
    x = source = builder.tensor((1, frames, coefficients, 1), 0.05, -3, name="features")
    y = builder.tensor((1, height, width, channels), 0.04, -128, name="conv")
    x = builder.op(
        "CONV_2D",
        [x, weights(channels, 3, 3, 1, axis=0), bias(channels)],
        [y],
        "Conv2DOptions",
        padding="SAME",
        strideH=2,
        strideW=2,
        dilationHFactor=1,
        dilationWFactor=1,
        activation="RELU",
    )
    y = builder.tensor((1, height, width, channels), 0.04, -128, name="depthwise")
    x = builder.op(
        "DEPTHWISE_CONV_2D",
        [x, weights(1, 3, 3, channels, axis=3), bias(channels)],
        [y],
        "DepthwiseConv2DOptions",
        padding="SAME",
        strideH=1,
        strideW=1,
        depthMultiplier=1,
        dilationHFactor=1,
        dilationWFactor=1,
        activation="RELU",
    )
    y = builder.tensor((1, height, width, 2 * channels), 0.04, -128, name="pointwise")
    x = builder.op(
        "CONV_2D",
        [x, weights(2 * channels, 1, 1, channels, axis=0), bias(2 * channels)],
        [y],
        "Conv2DOptions",
        padding="VALID",
        strideH=1,
        strideW=1,
        dilationHFactor=1,
        dilationWFactor=1,
        activation="RELU",
    )
    y = builder.tensor((1, 2 * channels), 0.04, -128, name="mean")
    x = builder.op("MEAN", [x, builder.const([1, 2], "int32")], [y], "ReducerOptions", keepDims=False)
    y = builder.tensor((1, len(LABELS)), 0.1, 0, name="logits")
    x = builder.op(
        "FULLY_CONNECTED",
        [x, builder.const(rng.integers(-127, 128, (len(LABELS), 2 * channels)), "int8", 0.005), bias(len(LABELS))],
        [y],
        "FullyConnectedOptions",
    )
    y = builder.tensor((1, len(LABELS)), 1 / 256, -128, name="probabilities")
    x = builder.op("SOFTMAX", [x], [y], "SoftmaxOptions", beta=1.0)
    return builder.finish([source], [x])


def keyword_model(folder: Path, frontend: bool = True, channels: int = 8) -> CompiledModel:
    """Compiled into ``folder``: with the default MfccConfig's front end, or as a foreign model would be."""
    config = MfccConfig()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model_int8.tflite").write_bytes(keyword_tflite(*config.shape, channels))
    rng = np.random.default_rng(1)
    multiplier, offset = (
        tuple(float(v) for v in rng.uniform(low, high, config.n_mfcc).astype(np.float32))
        for low, high in ((0.5, 2.0), (-5.0, 5.0))
    )
    extra = (
        {"labels": LABELS, "frontend": config.part(), "multiplier": multiplier, "offset": offset} if frontend else {}
    )
    model = lower(folder / "model_int8.tflite", folder, "keyword", **extra)
    if frontend:
        config.generate(multiplier, offset, model.c)
    model.write()
    return load_compiled(folder)
