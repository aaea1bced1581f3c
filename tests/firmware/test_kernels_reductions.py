"""AVERAGE_POOL_2D, MAX_POOL_2D, MEAN and SOFTMAX against tflite_micro, bit for bit."""

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
SEED = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("kind", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
@given(
    st.tuples(st.integers(1, 12), st.integers(1, 12)), st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)), st.booleans(), st.integers(1, 9), SCALE, ZERO, ACTIVATION, SEED,
)  # fmt: skip
@CASES
def test_pool(kind, size, window, stride, same, channels, scale, zero, activation, seed):
    if not same:
        size = tuple(max(s, w) for s, w in zip(size, window))
    out = tuple(-(-s // t) if same else (s - w) // t + 1 for s, w, t in zip(size, window, stride))
    b = Builder()
    x = b.tensor((1, *size, channels), scale, zero)
    y = b.tensor((1, *out, channels), scale, zero)
    options = dict(strideH=stride[0], strideW=stride[1], filterHeight=window[0], filterWidth=window[1])
    b.op(kind, [x], [y], "Pool2DOptions", padding="SAME" if same else "VALID", activation=activation, **options)
    assert_bit_exact(b.finish([x], [y]), seed=seed)


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=3), st.data(), st.booleans(), SCALE, ZERO,
    st.floats(0.05, 4.0), ZERO, SEED,
)  # fmt: skip
@settings(CASES, max_examples=60)
def test_mean(shape, data, keep, scale, zero, relative, out_zero, seed):
    shape = (1, *shape)
    axes = sorted(data.draw(st.sets(st.integers(1, len(shape) - 1), min_size=1)))
    named = [axis - len(shape) if data.draw(st.booleans()) else axis for axis in axes]
    out = [1 if i in axes else s for i, s in enumerate(shape) if keep or i not in axes]
    b = Builder()
    x = b.tensor(shape, scale, zero)
    axis = b.const(np.array(named), "int32")
    y = b.tensor(out, np.float32(scale * relative), out_zero)
    b.op("MEAN", [x, axis], [y], "ReducerOptions", keepDims=keep)
    assert_bit_exact(b.finish([x], [y]), seed=seed)


@pytest.mark.parametrize("pixels", [(25, 5), (64, 1), (101, 79), (1, 1)])
def test_mean_of_feature_maps(pixels):
    b = Builder()
    x = b.tensor((1, *pixels, 7), 0.0235, -11)
    axis = b.const(np.array([1, 2]), "int32")
    y = b.tensor((1, 7), 0.0078, 5)
    b.op("MEAN", [x, axis], [y], "ReducerOptions", keepDims=False)
    assert_bit_exact(b.finish([x], [y]))


@given(
    st.lists(st.integers(1, 5), min_size=0, max_size=2), st.integers(1, 40), st.floats(2**-9, 1.0, width=32), ZERO,
    st.sampled_from([1.0, 0.5, 2.0]), SEED,
)  # fmt: skip
@settings(CASES, max_examples=60)
def test_softmax(outer, depth, scale, zero, beta, seed):
    b = Builder()
    x = b.tensor((1, *outer, depth), scale, zero)
    y = b.tensor((1, *outer, depth), 1 / 256, -128)
    b.op("SOFTMAX", [x], [y], "SoftmaxOptions", beta=beta)
    assert_bit_exact(b.finish([x], [y]), rows=8, seed=seed)


def test_softmax_of_one_against_every_other_logit():
    rows = np.array([[127, q] for q in range(-128, 128)] + [[-128, -128], [127, 127]], np.int8)
    for scale in (0.003, 0.05, 0.37):
        b = Builder()
        x = b.tensor((1, 2), scale, 4)
        y = b.tensor((1, 2), 1 / 256, -128)
        b.op("SOFTMAX", [x], [y], "SoftmaxOptions", beta=1.0)
        assert_bit_exact(b.finish([x], [y]), x=rows)
