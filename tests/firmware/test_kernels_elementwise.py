"""ADD, SUB, MUL, the table activations, QUANTIZE and DEQUANTIZE against tflite_micro, bit for bit."""

import re

import numpy as np
import pytest
from bit_exact import assert_bit_exact, assert_bit_exact_on, compile_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from network_counts import count
from tflite_builder import Builder

from tinyflow.errors import TinyflowError

pytest.importorskip("tflite_micro", reason="needs the tflite-micro wheel: make setup")

CASES = settings(max_examples=30, derandomize=True, deadline=None, database=None)
ZERO = st.integers(-128, 127)
SCALE = st.floats(2**-9, 0.5, width=32)
ACTIVATION = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])
ALL = np.arange(-128, 128).astype(np.int8)
OPTIONS = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions"}


@st.composite
def broadcast(draw):
    """Two shapes of up to three axes (the batch comes in front) and what they broadcast to."""
    output = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    shapes = [
        [size if draw(st.booleans()) or same else 1 for size in output]
        for same in (draw(st.booleans()), draw(st.booleans()))
    ]
    shapes[1] = shapes[1][draw(st.integers(0, len(output) - 1)) :]  # leading axes may be absent
    full = np.broadcast_shapes(*map(tuple, shapes))
    return tuple(shapes[0]), tuple(shapes[1]), full


def binary(kind, shapes, first, second, out_scale, out_zero, activation, constant, swap, seed):
    rng = np.random.default_rng(seed)
    b = Builder()
    x = b.tensor((1, *shapes[0]), *first)
    if constant:
        other, full = b.const(rng.integers(-128, 128, shapes[1]), "int8", *second), shapes[2]
    else:  # a second value made from the first: the same bytes on another scale
        other, full = b.tensor((1, *shapes[0]), *second), shapes[0]
        b.op("QUANTIZE", [x], [other], "QuantizeOptions")
    y = b.tensor((1, *full), out_scale, out_zero)
    b.op(kind, [other, x] if swap else [x, other], [y], OPTIONS[kind], activation=activation)
    assert_bit_exact(b.finish([x], [y]), rows=4, seed=seed)


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
@given(
    broadcast(), st.tuples(SCALE, ZERO), st.tuples(SCALE, ZERO), st.floats(0.2, 3.0), ZERO,
    ACTIVATION, st.booleans(), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
@CASES
def test_binary(kind, shapes, first, second, relative, out_zero, activation, constant, swap, seed):
    natural = first[0] * second[0] * 128 if kind == "MUL" else max(first[0], second[0])
    binary(kind, shapes, first, second, np.float32(natural * relative), out_zero, activation, constant, swap, seed)


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
def test_binary_in_place_keeps_an_operand_that_is_read_again(kind):
    """y = op(relu(x), x): the first operand may be overwritten only if nothing reads it later."""
    b = Builder()
    x = b.tensor((1, 300), 0.05, 3)
    r = b.tensor((1, 300), 0.05, 3)
    b.op("RELU", [x], [r])
    s = b.tensor((1, 300), 0.07, -3)
    b.op(kind, [r, x], [s], OPTIONS[kind])
    y = b.tensor((1, 300), 0.09, 9)
    b.op(kind, [s, r], [y], OPTIONS[kind])
    assert_bit_exact(b.finish([x], [y]), rows=4)


@pytest.mark.parametrize("kind", ["RELU", "RELU6"])
@given(SCALE, ZERO, st.floats(0.1, 8.0), ZERO, st.booleans())
@CASES
def test_relu_over_all_inputs(kind, scale, zero, relative, out_zero, equal):
    output = (scale, zero) if equal else (np.float32(scale * relative), out_zero)
    unary(kind, (scale, zero), output)


@given(st.floats(2**-12, 2.0, width=32), ZERO)
@CASES
def test_logistic_over_all_inputs(scale, zero):
    unary("LOGISTIC", (scale, zero), (1 / 256, -128))


@given(st.floats(2**-14, 8.0, width=32), ZERO, st.floats(2**-9, 2.0, width=32), ZERO)
@settings(CASES, max_examples=100)
def test_tanh_over_all_inputs(scale, zero, out_scale, out_zero):
    """Whatever the output's scale: TFLM looks at the input's alone."""
    unary("TANH", (scale, zero), (1 / 128, 0))
    unary("TANH", (scale, zero), (out_scale, out_zero))


@pytest.mark.parametrize("exponent", [-28, -27, -20, -8, -4, -3, -1, 0, 3, 4, 20, 34])
@pytest.mark.parametrize("kind,output", [("TANH", (1 / 128, 0)), ("LOGISTIC", (1 / 256, -128))])
def test_saturating_functions_at_the_smallest_and_largest_scales(kind, output, exponent):
    for zero in (-128, -1, 0, 127):
        for mantissa in (1.0, 1.37, 1.9999999):
            unary(kind, (np.float32(mantissa * 2.0**exponent), zero), output)


@pytest.mark.parametrize("kind,output", [("TANH", (1 / 128, 0)), ("LOGISTIC", (1 / 256, -128))])
@pytest.mark.parametrize("scale", [2.0**-29, 2.0**35])
def test_saturating_functions_beyond_are_refused(kind, output, scale):
    with pytest.raises(TinyflowError, match=f"{kind}.*input scale"):
        unary(kind, (scale, 0), output)


@given(SCALE, ZERO, st.floats(0.1, 8.0), ZERO, st.floats(-3.0, 3.0, width=32))
@settings(CASES, max_examples=200)
def test_leaky_relu_over_all_inputs(scale, zero, relative, out_zero, alpha):
    leaky((scale, zero), (np.float32(scale * relative), out_zero), alpha)


@pytest.mark.parametrize(
    "alpha", [0.0, 0.01, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, -0.1, -0.25, -0.5, -0.75, -1.0, -2.5, 1e-12]
)
@pytest.mark.parametrize("relative", [1.0, 0.5, 2.0, 0.75, 3.0])
def test_leaky_relu_rounds_halves_as_tflm_does(alpha, relative):
    """Scales of few digits make ties, on both sides of zero, and of negative alphas."""
    for zero, out_zero in ((-128, -128), (0, 0), (127, -128), (100, 127)):
        leaky((0.5, zero), (0.5 * relative, out_zero), alpha)


@pytest.mark.parametrize("exponent", [-60, -33, -32, -31, -30, -20, 8, 20, 23, 24, 29])
def test_leaky_relu_at_the_smallest_and_largest_ratios(exponent):
    """Where the multiplier is none at all, and where what is shifted leaves 32 bits."""
    for zero, out_zero, alpha in ((3, 0, 0.3), (-128, 5, -0.5), (127, -7, 1.5), (127, 100, 1e-3)):
        leaky((np.float32(0.77 * 2.0**exponent), zero), (1.0, out_zero), alpha)


@pytest.mark.parametrize("ratio,alpha", [(2.0**30, 0.3), (2.0**29, 4.0), (0.5, float("inf")), (0.5, float("nan"))])
def test_leaky_relu_beyond_is_refused(ratio, alpha):
    with pytest.raises(TinyflowError, match="LEAKY_RELU.*alpha"):
        leaky((ratio, 0), (1.0, 0), alpha)


@pytest.mark.parametrize(
    "source,zero,output,alpha",
    [
        (1.2734375, 127, 0.7394153475761414, 0.30000001192092896),
        (0.15000000596046448, 127, 0.02068965509533882, 0.009999999776482582),
        (0.0689999982714653, -128, 0.129882350564003, 0.05000000074505806),
        (0.203125, 127, 0.03584558889269829, 0.05000000074505806),
        (0.640625, 0, 0.34495192766189575, 0.30000001192092896),
        (0.9765625, -22, 1.5811011791229248, 0.25),
    ],
)
def test_the_last_bit_of_leaky_relu(source, zero, output, alpha):
    """Scales at which float32 instead of double arithmetic in one of its multipliers changes some answers."""
    leaky((source, zero), (output, 0), alpha)


def leaky(source, output, alpha):
    unary("LEAKY_RELU", source, output, "LeakyReluOptions", alpha=alpha)


@given(st.floats(2**-9, 0.75, width=32), ZERO, st.floats(1 / 100, 2.0), ZERO)
@settings(CASES, max_examples=60)
def test_hard_swish_over_all_inputs(scale, zero, relative, out_zero):
    # TFLM refuses an output finer than a 128th of the input.
    unary("HARD_SWISH", (scale, zero), (np.float32(scale * relative), out_zero), "HardSwishOptions")


@given(SCALE, ZERO, st.floats(0.01, 8.0), ZERO)
@CASES
def test_quantize_int8_over_all_inputs(scale, zero, relative, out_zero):
    unary("QUANTIZE", (scale, zero), (np.float32(scale * relative), out_zero), "QuantizeOptions")


def unary(kind, source, output, options=None, **values):
    b = Builder()
    x = b.tensor((1, 256), *source)
    y = b.tensor((1, 256), *output)
    b.op(kind, [x], [y], options, **values)
    assert_bit_exact(b.finish([x], [y]), x=ALL[None])


@given(SCALE, ZERO, st.floats(0.01, 8.0), ZERO)
@CASES
def test_dequantize_and_quantize_float_over_all_inputs(scale, zero, relative, out_zero):
    """int8 -> float -> int8, an odd number of bytes before so that nothing is aligned by luck."""
    b = Builder()
    x = b.tensor((1, 256), scale, zero)
    f = b.tensor((1, 256), dtype="float32")
    b.op("DEQUANTIZE", [x], [f], "DequantizeOptions")
    y = b.tensor((1, 256), np.float32(scale * relative), out_zero)
    b.op("QUANTIZE", [f], [y], "QuantizeOptions")
    assert_bit_exact(b.finish([x], [y]), x=ALL[None])


@pytest.mark.parametrize("ratio", [0.5, 1.5, 2.5, 1.0, 1 / 3])
def test_quantize_float_rounds_ties_away_from_zero(ratio):
    b = Builder()
    x = b.tensor((1, 256), 1.0, 0)
    f = b.tensor((1, 256), dtype="float32")
    b.op("DEQUANTIZE", [x], [f], "DequantizeOptions")
    y = b.tensor((1, 256), np.float32(1 / ratio), 0)
    b.op("QUANTIZE", [f], [y], "QuantizeOptions")
    assert_bit_exact(b.finish([x], [y]), x=ALL[None])


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
def test_every_pair_of_values(kind):
    """All 65,536 pairs, at several scales: the last bit of a multiplier shows only in a few of them."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        first, second = rng.uniform(0.01, 0.1, 2).astype(np.float32)
        natural = first * second * 128 if kind == "MUL" else max(first, second)
        b = Builder()
        x = b.tensor((1, 1, 256), first, int(rng.integers(-20, 20)))
        other = b.const(ALL[:, None], "int8", second, int(rng.integers(-20, 20)))
        y = b.tensor((1, 256, 256), np.float32(natural * rng.uniform(0.5, 2.0)), int(rng.integers(-20, 20)))
        b.op(kind, [x, other], [y], OPTIONS[kind])
        assert_bit_exact(b.finish([x], [y]), x=ALL[None, None])


@pytest.mark.parametrize(
    "kind,first,second,output,zeros",
    [
        ("ADD", 0.04809937998652458, 0.0844932347536087, 0.0941084548830986, (-8, 5, 1)),
        ("ADD", 0.02341432124376297, 0.09684709459543228, 0.10676950216293335, (1, 9, -9)),
        ("SUB", 0.0251233521848917, 0.0167510025203228, 0.045392926782369614, (-5, -1, 14)),
        ("SUB", 0.07769934087991714, 0.02276678942143917, 0.10820528119802475, (4, 10, 12)),
    ],
)
def test_the_last_bit_of_sums(kind, first, second, output, zeros):
    """Scales at which float32 instead of double arithmetic in the multipliers changes some of the 65,536 answers."""
    b = Builder()
    x = b.tensor((1, 1, 256), first, zeros[0])
    y = b.tensor((1, 256, 256), output, zeros[2])
    b.op(kind, [x, b.const(ALL[:, None], "int8", second, zeros[1])], [y], OPTIONS[kind])
    assert_bit_exact(b.finish([x], [y]), x=ALL[None, None])


@pytest.mark.parametrize(
    "source,output,zero",
    [
        (0.023428117856383324, 0.04491288959980011, -123),
        (0.0358271524310112, 0.05684307962656021, -26),
        (0.04440406337380409, 0.04838511720299721, -56),
    ],
)
def test_the_last_bit_of_relu(source, output, zero):
    """Likewise for RELU's one multiplier."""
    unary("RELU", (source, zero), (output, 0))


@pytest.mark.parametrize(
    "source,output",
    [
        (0.15881133079528809, 0.0769834890961647),
        (0.05665189027786255, 0.10674002766609192),
        (0.09996283799409866, 0.1720956414937973),
    ],
)
def test_the_last_bit_of_hard_swish(source, output):
    """Likewise for HARD_SWISH's two 16-bit multipliers."""
    unary("HARD_SWISH", (source, 3), (output, -5), "HardSwishOptions")


@pytest.mark.parametrize("scale", [0.2448979616165161, 0.21052631735801697, 0.19672131538391113])
def test_six_over_scale_is_a_float32_tie(scale):
    """6/scale is just below a half in double and a half in float32, which rounds up: the limits are float32."""
    unary("RELU6", (scale, -128), (scale, -128))
    b = Builder()
    x = b.tensor((1, 4, 64, 1), scale, -128)
    y = b.tensor((1, 4, 64, 1), scale, -128)
    window = dict(strideH=1, strideW=1, filterHeight=1, filterWidth=1, padding="VALID")
    b.op("MAX_POOL_2D", [x], [y], "Pool2DOptions", activation="RELU6", **window)
    assert_bit_exact(b.finish([x], [y]), x=ALL.reshape(1, 4, 64, 1))


def kernels_of(data, folder):
    """The kernels that the generated C calls, one a layer."""
    source = (compile_bytes(data, folder).c / "model.c").read_text()
    return re.findall(r"^  (\w+_s8)\(&model_params", source, re.MULTILINE)


@pytest.mark.parametrize(
    "kind,scales,activation,kernel",
    [
        ("ADD", (0.0312347, 0.0471931, 0.0523177), "NONE", "weighted_sum_s8"),
        ("ADD", (0.0312347, 0.0471931, 0.0523177), "RELU_N1_TO_1", "weighted_sum_s8"),
        ("SUB", (0.0312347, 0.0471931, 0.0523177), "RELU", "weighted_sum_s8"),
        ("ADD", (0.05, 0.05, 0.1), "NONE", "add_s8"),  # every odd sum is a tie, and those below zero round down
        ("SUB", (0.05, 0.05, 0.1), "NONE", "sub_s8"),
        ("ADD", (0.05, 0.05, 0.01), "NONE", "add_s8"),  # weights beyond an int32
    ],
)
def test_a_sum_is_linear_where_that_is_proven(kind, scales, activation, kernel, tmp_path):
    """All pairs of values, by operands of equal shapes: 256 values and the same rolled, a step a row. Scales of few
    digits make ties.
    """
    b = Builder()
    x = b.tensor((1, 64, 256), scales[0], -3)
    y = b.tensor((1, 64, 256), scales[1], 5)
    b.op("QUANTIZE", [x], [y], "QuantizeOptions")
    z = b.tensor((1, 64, 256), scales[2], 2)
    b.op(
        kind,
        [x, b.const(ALL[None, None, ::-1].repeat(64, 1), "int8", scales[1], 5)],
        [z],
        OPTIONS[kind],
        activation=activation,
    )
    data = b.finish([x], [z])
    x = np.stack([np.stack([np.roll(ALL, row + step) for row in range(64)]) for step in range(0, 256, 64)])
    assert_bit_exact(data, x=x)
    assert kernels_of(data, tmp_path) == [kernel]


@pytest.mark.parametrize(
    "kind,source,output,kernel",
    [
        ("RELU", (0.05, -20), (0.05, -20), "clamp_s8"),
        ("RELU6", (0.05, -128), (0.05, -128), "clamp_s8"),
        ("RELU", (0.05, -20), (0.031, -128), "rescale_s8"),
        ("RELU", (0.05, -20), (0.031, -100), "rescale_s8"),
        ("QUANTIZE", (0.05, 3), (0.07, -8), "rescale_s8"),
        ("QUANTIZE", (0.05, 0), (0.1, 0), "rescale_s8"),  # ties away from zero: a slope a little steeper
        ("QUANTIZE", (0.05, 0), (0.01, 0), "lookup_s8"),  # a weight beyond an int32
        ("LOGISTIC", (0.05, 3), (1 / 256, -128), "lookup_s8"),
        ("TANH", (0.05, 3), (1 / 128, 0), "lookup_s8"),
        ("LEAKY_RELU", (0.05, 3), (0.07, 5), "lookup_s8"),
        ("LEAKY_RELU", (0.05, -128), (0.07, -128), "rescale_s8"),  # nothing lies below its zero point
        ("LEAKY_RELU", (0.05, -128), (0.05, -128), "clamp_s8"),  # nor is anything rescaled
    ],
)
def test_a_function_of_one_value_is_a_clamp_linear_or_a_table(kind, source, output, kernel, tmp_path):
    b = Builder()
    x, y = b.tensor((1, 256), *source), b.tensor((1, 256), *output)
    options = {"QUANTIZE": ("QuantizeOptions", {}), "LEAKY_RELU": ("LeakyReluOptions", {"alpha": 0.3})}
    table, values = options.get(kind, (None, {}))
    b.op(kind, [x], [y], table, **values)
    data = b.finish([x], [y])
    assert_bit_exact(data, x=ALL[None])
    assert kernels_of(data, tmp_path) == [kernel]


@pytest.mark.qemu
def test_the_assembly_on_sizes_that_are_no_multiple_of_four(tmp_path):
    """The same C with DSP instructions, on the emulated Cortex-M4F, against tflite_micro."""
    shape = (1, 7, 9, 5)
    b = Builder()
    x = b.tensor(shape, 0.0512347, 3)
    at = {
        name: b.tensor(shape, *quant)
        for name, quant in dict(
            relu6=(0.0512347, 3), relu=(0.0312931, -100), swish=(0.0423177, -9), q=(0.0712391, 2)
        ).items()
    }
    b.op("RELU6", [x], [at["relu6"]])
    b.op("RELU", [x], [at["relu"]])
    b.op("HARD_SWISH", [x], [at["swish"]], "HardSwishOptions")
    b.op("QUANTIZE", [x], [at["q"]], "QuantizeOptions")
    sums = [b.tensor(shape, 0.0634571, 1) for _ in range(3)]
    b.op("ADD", [at["relu6"], at["relu"]], [sums[0]], "AddOptions", activation="RELU_N1_TO_1")
    b.op("SUB", [at["swish"], at["q"]], [sums[1]], "SubOptions")
    b.op("ADD", [sums[0], sums[1]], [sums[2]], "AddOptions")
    turned = b.tensor((1, 5, 9, 7), 0.0634571, 1)
    b.op("TRANSPOSE", [sums[2], b.const(np.array([0, 3, 2, 1]), "int32")], [turned], "TransposeOptions")
    padded = b.tensor((1, 8, 9, 7), 0.0634571, 1)
    b.op("PAD", [turned, b.const(np.array([[0, 0], [1, 2], [0, 0], [0, 0]]), "int32")], [padded], "PadOptions")
    path = tmp_path / "small.tflite"
    path.write_bytes(b.finish([x], [padded]))
    layers = count(path, tmp_path, rows=3)["layers"]  # raises where an answer differs
    assert {"clamp_s8", "rescale_s8", "lookup_s8", "weighted_sum_s8", "gather_s8", "pad_s8"} <= {
        layer["kernel"] for layer in layers
    }


@pytest.mark.qemu
def test_leaky_relu_and_tanh_on_an_emulated_board(tmp_path):
    """Each by its table, and by the table of a planar depthwise convolution that reads it."""
    shape = (1, 7, 9, 5)
    b, rng = Builder(), np.random.default_rng(3)
    x = b.tensor(shape, 0.0512347, 3)
    leaky, tanh, flat = (b.tensor(shape, *quant) for quant in ((0.0312931, -60), (1 / 128, 0), (0.0423177, -9)))
    b.op("LEAKY_RELU", [x], [leaky], "LeakyReluOptions", alpha=0.2)
    b.op("TANH", [leaky], [tanh])
    b.op("LEAKY_RELU", [tanh], [flat], "LeakyReluOptions", alpha=-0.25)
    scales = rng.uniform(0.003, 0.01, 5).astype(np.float32)
    weights = b.const(rng.integers(-127, 128, (1, 3, 3, 5)), "int8", scales, axis=3)
    bias = b.const(rng.integers(-500, 500, 5), "int32", np.float32(0.0423177) * scales)
    deep = b.tensor(shape, 0.05, 7)
    window = dict(strideH=1, strideW=1, padding="SAME", depthMultiplier=1)
    b.op("DEPTHWISE_CONV_2D", [flat, weights, bias], [deep], "DepthwiseConv2DOptions", **window)
    y = b.tensor(shape, 1 / 128, 0)
    b.op("TANH", [deep], [y])
    data = b.finish([x], [y])
    assert kernels_of(data, tmp_path).count("lookup_s8") == 3
    assert_bit_exact_on("mps2-an386", data, tmp_path, rows=3)
