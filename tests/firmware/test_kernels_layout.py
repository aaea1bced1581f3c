"""CONCATENATION, PAD, RESIZE_NEAREST_NEIGHBOR, STRIDED_SLICE, TRANSPOSE and RESHAPE against
tflite_micro, bit for bit.
"""

import numpy as np
import pytest
from bit_exact import assert_bit_exact
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tflite_builder import Builder

pytest.importorskip("tflite_micro", reason="needs the tflite-micro wheel: make setup")

CASES = settings(max_examples=30, derandomize=True, deadline=None, database=None)
ZERO = st.integers(-128, 127)
Q = (0.05, -7)


def shapes(least, most, sizes=6):
    """A batch of 1 and more axes."""
    return st.lists(st.integers(1, sizes), min_size=least - 1, max_size=most - 1).map(lambda rest: (1, *rest))


@given(shapes(2, 4), st.integers(1, 4), st.data())
@CASES
def test_concatenation(shape, count, data):
    axis = data.draw(st.integers(1, len(shape) - 1))
    b = Builder()
    x = b.tensor(shape, *Q)
    parts = []
    for number in range(count):
        if data.draw(st.booleans()):
            parts.append(x)
            continue
        sizes = list(shape)
        sizes[axis] = data.draw(st.integers(1, 5))
        rng = np.random.default_rng(number)
        parts.append(b.const(rng.integers(-128, 128, sizes), "int8", *Q))
    out = list(shape)
    out[axis] = sum(int(b.tensors[part].shape[axis]) for part in parts)
    y = b.tensor(out, *Q)
    named = axis - len(shape) if data.draw(st.booleans()) else axis
    b.op("CONCATENATION", parts, [y], "ConcatenationOptions", axis=named)
    if x not in parts:  # the model must read its input
        z = b.tensor(out, *Q)
        first = b.tensor([1] * len(shape), *Q)
        sizes = [1] * len(shape)
        tables = [b.const(np.array(v), "int32") for v in ([0] * len(shape), sizes, sizes)]
        b.op("STRIDED_SLICE", [x, *tables], [first], "StridedSliceOptions")
        b.op("ADD", [y, first], [z], "AddOptions")
        y = z
    assert_bit_exact(b.finish([x], [y]))


@given(shapes(2, 4), st.data(), ZERO, st.integers(-128, 127), st.booleans())
@CASES
def test_pad(shape, data, zero, value, valued):
    paddings = np.array([[0, 0]] + [[data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))] for _ in shape[1:]])
    b = Builder()
    x = b.tensor(shape, 0.05, zero)
    y = b.tensor(np.array(shape) + paddings.sum(1), 0.05, zero)
    inputs = [x, b.const(paddings, "int32")]
    if valued:
        inputs.append(b.const(np.array([value]), "int8", 0.05, zero))
    b.op("PADV2" if valued else "PAD", inputs, [y], "PadV2Options" if valued else "PadOptions")
    assert_bit_exact(b.finish([x], [y]))


@given(shapes(2, 4, 8), st.data())
@settings(CASES, max_examples=60)
def test_strided_slice(shape, data):
    rank = len(shape)
    begin, end, step = [0], [1], [1]
    for size in shape[1:]:
        begin.append(data.draw(st.integers(-size - 2, size + 1)))
        end.append(data.draw(st.integers(-size - 2, size + 1)))
        step.append(data.draw(st.sampled_from([1, 1, 2, 3, -1, -2])))
    begin_mask, end_mask = data.draw(st.integers(0, 2**rank - 1)), data.draw(st.integers(0, 2**rank - 1))
    shrink = data.draw(st.sets(st.integers(1, rank - 1), max_size=rank - 1))
    shrink = {axis for axis in shrink if -shape[axis] <= begin[axis] < shape[axis]}
    for axis in shrink:
        step[axis] = 1
        begin_mask &= ~(1 << axis)
    sizes = []
    for axis, size in enumerate(shape):
        if axis not in shrink:
            first, last = (
                None if mask >> axis & 1 else value[axis] for mask, value in ((begin_mask, begin), (end_mask, end))
            )
            sizes.append(len(range(size)[first : last : step[axis]]))
    assume(all(sizes))
    b = Builder()
    x = b.tensor(shape, *Q)
    y = b.tensor(sizes, *Q)
    tables = [b.const(np.array(values), "int32") for values in (begin, end, step)]
    masks = dict(beginMask=begin_mask, endMask=end_mask, shrinkAxisMask=sum(1 << axis for axis in shrink))
    b.op("STRIDED_SLICE", [x, *tables], [y], "StridedSliceOptions", **masks)
    assert_bit_exact(b.finish([x], [y]))


@given(shapes(2, 5), st.data())
@CASES
def test_transpose(shape, data):
    order = data.draw(st.permutations(range(len(shape))))
    b = Builder()
    x = b.tensor(shape, *Q)
    y = b.tensor([shape[axis] for axis in order], *Q)
    b.op("TRANSPOSE", [x, b.const(np.array(order), "int32")], [y], "TransposeOptions")
    z = b.tensor((1, int(np.prod(shape))), *Q)  # a batch of 1 again, through a view
    b.op("RESHAPE", [y], [z], "ReshapeOptions", newShape=np.array([1, int(np.prod(shape))], np.int32))
    assert_bit_exact(b.finish([x], [z]))


@given(
    st.integers(1, 17),
    st.integers(1, 17),
    st.integers(1, 17),
    st.integers(1, 17),
    st.integers(1, 5),
    st.sampled_from([(0, 0), (0, 1), (1, 0)]),
)
@settings(CASES, max_examples=60)
def test_resize_nearest_neighbor(height, width, rows, columns, channels, mode):
    align_corners, half_pixel_centers = map(bool, mode)
    b = Builder()
    x = b.tensor((1, height, width, channels), *Q)
    y = b.tensor((1, rows, columns, channels), *Q)
    size = b.const(np.array([rows, columns]), "int32")
    b.op(
        "RESIZE_NEAREST_NEIGHBOR",
        [x, size],
        [y],
        "ResizeNearestNeighborOptions",
        alignCorners=align_corners,
        halfPixelCenters=half_pixel_centers,
    )
    assert_bit_exact(b.finish([x], [y]))


def test_reshape_squeeze_expand_dims_are_views():
    b = Builder()
    x = b.tensor((1, 4, 6), *Q)
    a = b.tensor((1, 24), *Q)
    b.op(
        "RESHAPE", [x, b.const(np.array([1, 24]), "int32")], [a], "ReshapeOptions", newShape=np.array([1, 24], np.int32)
    )
    r = b.tensor((1, 24), 0.1, 3)
    b.op("RELU", [a], [r])
    e = b.tensor((1, 1, 24), 0.1, 3)
    b.op("EXPAND_DIMS", [r, b.const(np.array([1]), "int32")], [e], "ExpandDimsOptions")
    s = b.tensor((1, 24), 0.1, 3)
    b.op("SQUEEZE", [e], [s], "SqueezeOptions", squeezeDims=np.array([1], np.int32))
    y = b.tensor((1, 24), 0.2, 3)
    b.op("ADD", [s, a], [y], "AddOptions")  # the view's input is read again: it must still be there
    model = assert_bit_exact(b.finish([x], [y]))
    assert [layer.kind for layer in model.layers] == ["RELU", "ADD"]
