"""ADD, SUB, MUL, the table activations, QUANTIZE and DEQUANTIZE against tflite_micro, bit for bit."""

import numpy as np
import pytest
from bit_exact import assert_bit_exact
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_builder import Builder

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
    shapes = [[size if draw(st.booleans()) or same else 1 for size in output] for same in (draw(st.booleans()), draw(st.booleans()))]
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


@given(st.floats(2**-9, 0.75, width=32), ZERO, st.floats(1 / 100, 2.0), ZERO)
@settings(CASES, max_examples=60)
def test_hard_swish_over_all_inputs(scale, zero, relative, out_zero):
    # TFLM refuses an output finer than a 128th of the input.
    unary("HARD_SWISH", (scale, zero), (np.float32(scale * relative), out_zero), "HardSwishOptions")


@given(SCALE, ZERO, st.floats(0.01, 8.0), ZERO)
@CASES
def test_quantize_int8_over_all_inputs(scale, zero, relative, out_zero):
    unary("QUANTIZE", (scale, zero), (np.float32(scale * relative), out_zero), "QuantizeOptions")


def unary(kind, source, output, options=None):
    b = Builder()
    x = b.tensor((1, 256), *source)
    y = b.tensor((1, 256), *output)
    b.op(kind, [x], [y], options)
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
    [(0.023428117856383324, 0.04491288959980011, -123), (0.0358271524310112, 0.05684307962656021, -26), (0.04440406337380409, 0.04838511720299721, -56)],
)
def test_the_last_bit_of_relu(source, output, zero):
    """Likewise for RELU's one multiplier."""
    unary("RELU", (source, zero), (output, 0))


@pytest.mark.parametrize(
    "source,output",
    [(0.15881133079528809, 0.0769834890961647), (0.05665189027786255, 0.10674002766609192), (0.09996283799409866, 0.1720956414937973)],
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
