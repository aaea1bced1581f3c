"""Channels whose weights are all zero, as training leaves them: constants, and no reason to give
up the fast kernels.
"""

import numpy as np
import pytest
from bit_exact import assert_bit_exact, compile_bytes
from tflite_builder import Builder

pytest.importorskip("tflite_micro", reason="needs the tflite-micro wheel: make setup")


def network(kind: str, biases: list[int], scales: list[float], activation: str, output: tuple[float, int]) -> bytes:
    """Dead channels of these biases and weight scales, and two that live."""
    channels, rng = len(biases) + 2, np.random.default_rng(0)
    b = Builder()
    x = b.tensor((1, 4, 5, channels), 0.05, 7)
    y = b.tensor((1, 4, 5, channels), *output)
    shape = (channels, 1, 1, channels) if kind == "CONV_2D" else (1, 3, 3, channels)
    weights = rng.integers(-127, 128, shape)
    dead = slice(0, len(biases))
    if kind == "CONV_2D":
        weights[dead] = 0
    else:
        weights[..., dead] = 0
    all_scales = np.array([*scales, 0.004, 0.002], np.float32)
    w = b.const(weights, "int8", all_scales, axis=0 if kind == "CONV_2D" else 3)
    bias = b.const(np.array([*biases, 300, -1000]), "int32", np.float32(0.05) * all_scales)
    options = dict(strideH=1, strideW=1, padding="SAME", activation=activation)
    table = {"CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions"}[kind]
    b.op(kind, [x, w, bias], [y], table, **options | ({} if kind == "CONV_2D" else {"depthMultiplier": 1}))
    return b.finish([x], [y])


@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D"])
@pytest.mark.parametrize("activation,output", [("NONE", (0.03, -5)), ("RELU", (0.03, -128)), ("RELU6", (0.04, -100))])
def test_dead_channels_are_constants(kind, activation, output, tmp_path):
    biases = [1073741824, -1073741824, 1073741696, 0, 5, -70, 2**31 - 1]
    scales = [4.3e-9, 1.1e-8, 5.3e-10, 1e-12, 0.003, 0.01, 1e-8]
    data = network(kind, biases, scales, activation, output)
    assert_bit_exact(data, rows=4)
    source = (compile_bytes(data, tmp_path).c / "model.c").read_text()
    assert "conv_2d_s8(" not in source.replace("pointwise_conv_2d_s8(", ""), (
        "the reference kernel is for what is not proven"
    )
