"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED against tflite_micro, bit for bit."""

import numpy as np
import pytest
from bit_exact import assert_bit_exact
from convolution_cases import geometry, quantised
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_builder import Builder

from tinyflow.compile.fixedpoint import quantize_multiplier, requantize

pytest.importorskip("tflite_micro", reason="needs the tflite-micro wheel: make setup")

CASES = settings(max_examples=30, derandomize=True, deadline=None, database=None)
ZERO = st.integers(-128, 127)
SCALE = st.floats(2**-9, 0.5, width=32)
ACTIVATION = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])


@given(
    geometry(), st.integers(1, 4), st.integers(1, 6), st.integers(1, 4), SCALE, ZERO, ZERO,
    st.booleans(), st.booleans(), ACTIVATION, st.integers(0, 2**32 - 1),
)  # fmt: skip
@CASES
def test_conv_2d(shape, groups, depth, group_outputs, in_scale, in_zero, out_zero, per_channel, bias, activation, seed):
    (h, w), (filter_h, filter_w), out, options = shape
    rng = np.random.default_rng(seed)
    channels = groups * group_outputs
    weights, scales, biases, out_scale = quantised(
        rng,
        (channels, filter_h, filter_w, depth),
        channels,
        0,
        depth * filter_h * filter_w,
        in_scale,
        per_channel,
        bias,
    )
    b = Builder()
    x = b.tensor((1, h, w, groups * depth), in_scale, in_zero)
    inputs = [x, b.const(weights, "int8", scales)]
    if bias:
        inputs.append(b.const(biases, "int32", np.float32(in_scale) * scales))
    y = b.tensor((1, *out, channels), out_scale, out_zero)
    b.op("CONV_2D", inputs, [y], "Conv2DOptions", activation=activation, **options)
    assert_bit_exact(b.finish([x], [y]), seed=seed)


@given(
    geometry(), st.integers(1, 6), st.integers(1, 3), SCALE, ZERO, ZERO,
    st.booleans(), st.booleans(), ACTIVATION, st.integers(0, 2**32 - 1),
)  # fmt: skip
@CASES
def test_depthwise_conv_2d(shape, source, multiplier, in_scale, in_zero, out_zero, per_channel, bias, activation, seed):
    (h, w), (filter_h, filter_w), out, options = shape
    rng = np.random.default_rng(seed)
    channels = source * multiplier
    weights, scales, biases, out_scale = quantised(
        rng, (1, filter_h, filter_w, channels), channels, 3, filter_h * filter_w, in_scale, per_channel, bias
    )
    b = Builder()
    x = b.tensor((1, h, w, source), in_scale, in_zero)
    inputs = [x, b.const(weights, "int8", scales, axis=3)]
    if bias:
        inputs.append(b.const(biases, "int32", np.float32(in_scale) * scales))
    y = b.tensor((1, *out, channels), out_scale, out_zero)
    b.op(
        "DEPTHWISE_CONV_2D",
        inputs,
        [y],
        "DepthwiseConv2DOptions",
        activation=activation,
        depthMultiplier=multiplier,
        **options,
    )
    assert_bit_exact(b.finish([x], [y]), seed=seed)


@given(
    st.integers(1, 3), st.integers(1, 70), st.integers(1, 20), SCALE, ZERO, ZERO,
    st.booleans(), st.booleans(), ACTIVATION, st.integers(0, 2**32 - 1),
)  # fmt: skip
@CASES
def test_fully_connected(batch, depth, outputs, in_scale, in_zero, out_zero, per_channel, bias, activation, seed):
    rng = np.random.default_rng(seed)
    weights, scales, biases, out_scale = quantised(
        rng, (outputs, depth), outputs, 0, depth, in_scale, per_channel, bias
    )
    b = Builder()
    x = b.tensor((1, batch, depth), in_scale, in_zero)
    inputs = [x, b.const(weights, "int8", scales)]
    inputs.append(b.const(biases, "int32", np.float32(in_scale) * scales) if bias else -1)
    y = b.tensor((1, batch, outputs), out_scale, out_zero)
    b.op("FULLY_CONNECTED", inputs, [y], "FullyConnectedOptions", activation=activation, keepNumDims=True)
    assert_bit_exact(b.finish([x], [y]), seed=seed)


@given(st.integers(2, 6), st.floats(1.0, 60.0), st.integers(0, 2**32 - 1))
@settings(CASES, max_examples=10)
def test_multipliers_above_one_shift_left_first(depth, gain, seed):
    """An output scale finer than the products': a positive exponent."""
    rng = np.random.default_rng(seed)
    b = Builder()
    x = b.tensor((1, depth), 0.1, 3)
    w = b.const(rng.integers(-3, 4, (4, depth)), "int8", 0.2)
    y = b.tensor((1, 4), np.float32(0.02 / gain), -7)
    b.op("FULLY_CONNECTED", [x, w, -1], [y], "FullyConnectedOptions")
    data = b.finish([x], [y])
    assert_bit_exact(data, x=rng.integers(-3, 10, (8, depth)).astype(np.int8))


def accumulators(values, in_scale, weight_scale, out_scale, out_zero=0):
    """FULLY_CONNECTED whose accumulators are exactly ``values``: they are the biases, the inputs their zero point."""
    b = Builder()
    x = b.tensor((1, 1), in_scale, 0)
    w = b.const(np.zeros((len(values), 1)), "int8", weight_scale)
    bias = b.const(np.array(values), "int32", np.float32(in_scale) * np.float32(weight_scale))
    y = b.tensor((1, len(values)), out_scale, out_zero)
    b.op("FULLY_CONNECTED", [x, w, bias], [y], "FullyConnectedOptions")
    assert_bit_exact(b.finish([x], [y]), x=np.zeros((1, 1), np.int8))


@pytest.mark.parametrize("power", range(0, 7))
def test_exact_halves_on_both_sides_of_zero(power):
    """Multipliers that are powers of two make every tie there is, in the high word and in the division after it."""
    accumulators(np.arange(-600, 600), 2.0**-power, 1.0, 1.0, out_zero=1)


@pytest.mark.parametrize("seed", range(4))
def test_the_last_bit_of_the_multiplier(seed):
    """Accumulators for which a product of the scales in float32 instead of double would round another way."""
    rng = np.random.default_rng(seed)
    in_scale, weight_scale, out_scale = (np.float32(rng.uniform(*r)) for r in ((0.005, 0.05), (0.001, 0.005), (5, 12)))
    single = quantize_multiplier(float(in_scale * weight_scale) / float(out_scale))
    double = quantize_multiplier(float(in_scale) * float(weight_scale) / float(out_scale))
    real = float(in_scale) * float(weight_scale) / float(out_scale)
    near = [int((k + 0.5) / real) + d for k in range(40, 126) for d in range(-12, 13)]
    telling = [value for value in near if requantize(value, *single) != requantize(value, *double)]
    assert telling
    accumulators(telling, in_scale, weight_scale, out_scale)
