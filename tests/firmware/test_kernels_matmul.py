"""The packed kernels of CONV_2D and FULLY_CONNECTED against tflite_micro, bit for bit: both layouts, in place, fused
weights and not.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bit_exact import assert_bit_exact, assert_bit_exact_on, kernel_archive
from convolution_cases import geometry, quantised, window
from hypothesis import given, settings
from hypothesis import strategies as st
from model_zoo import ds_cnn
from tflite_builder import Builder

from tinyflow.compile.cgen import generate_model
from tinyflow.compile.graph import Op
from tinyflow.compile.operators import lower_graph, needs
from tinyflow.compile.passes import run_passes
from tinyflow.compile.plan import plan_memory
from tinyflow.compile.tflite import parse_tflite
from tinyflow.reference import oracle
from tinyflow.reference.hostmodel import HostModel

pytest.importorskip("tflite_micro", reason="needs the tflite-micro wheel: make setup")

CASES = settings(max_examples=30, derandomize=True, deadline=None, database=None)
SCALE = st.floats(2**-9, 0.5, width=32)
ZERO = st.integers(-128, 127)
ACTIVATION = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])


def conv(
    rng,
    size,
    channels,
    depth,
    filter_size,
    out,
    options,
    in_scale=0.05,
    in_zero=3,
    out_zero=-7,
    activation="NONE",
    least=-127,
    per_channel=True,
):
    """A model of one CONV_2D whose outputs fill the int8 range; ``least``: the smallest weight, which stands in it
    somewhere.
    """
    weights, scales, biases, out_scale = quantised(
        rng, (channels, *filter_size, depth), channels, 0, depth * np.prod(filter_size), in_scale, per_channel, True
    )
    weights.reshape(-1)[:: max(weights.size // 7, 1)] = least
    b = Builder()
    x = b.tensor((1, *size, depth), in_scale, in_zero)
    w, bias = b.const(weights, "int8", scales), b.const(biases, "int32", np.float32(in_scale) * scales)
    y = b.tensor((1, *out, channels), out_scale, out_zero)
    b.op("CONV_2D", [x, w, bias], [y], "Conv2DOptions", activation=activation, **options)
    return b.finish([x], [y])


def planes(data, planar_in, planar_out):
    """The graph of one operator that reads and writes the given layouts, between LAYOUT operators."""
    graph = parse_tflite(data, "planes")
    tensors, (op,) = list(graph.tensors), graph.ops
    ops, source, output = [op], op.inputs[0], op.outputs[0]
    if planar_in:
        tensors.append(replace(tensors[source], name="planes in", planar=True))
        ops.insert(0, Op("LAYOUT", (source,), (len(tensors) - 1,)))
        source = len(tensors) - 1
    if planar_out:
        tensors.append(replace(tensors[output], name="planes out", planar=True))
        ops.append(Op("LAYOUT", (len(tensors) - 1,), (output,)))
        output = len(tensors) - 1
    ops[int(planar_in)] = replace(op, inputs=(source, *op.inputs[1:]), outputs=(output,))
    return replace(graph, tensors=tuple(tensors), ops=tuple(ops))


def check_planes(data, planar_in, planar_out, seed):
    """Bit-exact in these layouts, and with its output over its input wherever that is allowed. Returns (call of the
    kernel, whether it is).
    """
    graph = planes(data, planar_in, planar_out)
    op = next(op for op in graph.ops if op.kind != "LAYOUT")
    plan, in_place = plan_memory(graph), bool(needs(graph, op).in_place)
    if in_place:
        place = -(-plan.arena_bytes // 16) * 16
        both = (op.inputs[0], op.outputs[0])
        plan = replace(
            plan,
            offsets=plan.offsets | dict.fromkeys(both, place),
            arena_bytes=place + max(graph.tensor(index).bytes for index in both),
        )
    with tempfile.TemporaryDirectory(prefix="tinyflow-case-") as folder:
        generate_model(graph, plan, Path(folder))
        x = (
            np.random.default_rng(seed)
            .integers(-128, 128, (3, *graph.tensor(graph.inputs[0]).shape[1:]))
            .astype(np.int8)
        )
        ours = HostModel(Path(folder), kernels=[kernel_archive()], flags=("-O1",)).invoke(x)
        assert np.array_equal(ours, oracle.invoke(data, x).reshape(3, -1))
    return next(step.calls[0] for step in lower_graph(graph) if step.op is op), in_place


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.integers(1, 9),
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(1, 2),
    SCALE,
    ZERO,
    ZERO,
    ACTIVATION,
    st.booleans(),
    st.booleans(),
    st.sampled_from([-127, -128]),
    st.integers(0, 2**32 - 1),
)
@settings(CASES, max_examples=50)
def test_pointwise(
    depth,
    channels,
    h,
    w,
    stride_h,
    stride_w,
    in_scale,
    in_zero,
    out_zero,
    activation,
    planar_in,
    planar_out,
    least,
    seed,
):
    out = window(h, 1, stride_h, 1, "SAME"), window(w, 1, stride_w, 1, "SAME")
    options = dict(strideH=stride_h, strideW=stride_w, padding="SAME")
    data = conv(
        np.random.default_rng(seed),
        (h, w),
        channels,
        depth,
        (1, 1),
        out,
        options,
        in_scale,
        in_zero,
        out_zero,
        activation,
        least,
    )
    call, _ = check_planes(data, planar_in, planar_out, seed)
    assert call.kernel == ("fully_connected_packed_s8" if h * w == 1 else "pointwise_conv_2d_s8")


@given(
    geometry(),
    st.integers(1, 70),
    st.integers(1, 9),
    SCALE,
    ZERO,
    ZERO,
    ACTIVATION,
    st.booleans(),
    st.sampled_from([-127, -128]),
    st.integers(0, 2**32 - 1),
)
@CASES
def test_any_filter(shape, channels, depth, in_scale, in_zero, out_zero, activation, planar_out, least, seed):
    (h, w), filter_size, out, options = shape
    data = conv(
        np.random.default_rng(seed),
        (h, w),
        channels,
        depth,
        filter_size,
        out,
        options,
        in_scale,
        in_zero,
        out_zero,
        activation,
        least,
    )
    check_planes(data, False, planar_out, seed)


@pytest.mark.parametrize("planar_in", [False, True])
@pytest.mark.parametrize("planar_out", [False, True])
@pytest.mark.parametrize(
    "depth, channels, stride",
    [(8, 8, 1), (8, 3, 1), (3, 8, 1), (5, 33, 1), (8, 8, 2), (8, 3, 2), (3, 8, 2), (1, 6, 1), (6, 1, 1)],
)
def test_pointwise_works_in_place_where_it_may(depth, channels, stride, planar_in, planar_out):
    """Planes of one size; pixels that do not grow, or of which none is skipped. A single channel is whatever the other
    side is.
    """
    out = -(-7 // stride), -(-5 // stride)
    options = dict(strideH=stride, strideW=stride, padding="SAME")
    data = conv(np.random.default_rng(5), (7, 5), channels, depth, (1, 1), out, options)
    _, in_place = check_planes(data, planar_in, planar_out, 5)
    planar = {planar_in if depth > 1 else planar_out, planar_out if channels > 1 else planar_in}
    if planar == {True}:
        assert in_place == (stride == 1)
    else:
        assert in_place == (planar == {False} and (stride == 1 or channels <= depth))


def test_filters_as_large_as_a_map_and_larger():
    for h, w, filter_size in [(3, 4, (5, 7)), (1, 1, (3, 3)), (2, 9, (4, 1)), (9, 2, (1, 4))]:
        options = dict(strideH=1, strideW=1, padding="SAME")
        data = conv(np.random.default_rng(h * w), (h, w), 7, 6, filter_size, (h, w), options)
        check_planes(data, False, True, 3)


@pytest.mark.parametrize(
    "depth, channels, least, ending", [(64, 6, -127, "_plain"), (64, 6, -128, "_wide"), (1100, 5, -127, "_wide")]
)
@pytest.mark.parametrize("rows", [1, 4])
def test_sums_beyond_24_bits_and_weights_of_minus_128_are_not_fused(depth, channels, least, ending, rows):
    """Each inner kernel, at the extremes: all inputs and weights at their ends, for which sums grow largest."""
    b = Builder()
    x = b.tensor((1, rows, depth), 0.05, -128)
    weights = np.full((channels, depth), 127)
    weights[1::2] = -127
    weights[:, 3] = least
    w, bias = (
        b.const(weights, "int8", np.full(channels, 0.01)),
        b.const(np.arange(channels) - 3, "int32", np.full(channels, 0.05 * 0.01)),
    )
    y = b.tensor((1, rows, channels), 0.05 * 0.01 * 127 * 255 * depth / 120, -128)
    b.op("FULLY_CONNECTED", [x, w, bias], [y], "FullyConnectedOptions", activation="RELU", keepNumDims=True)
    data = b.finish([x], [y])
    (step,) = lower_graph(parse_tflite(data, "sums"))
    field, name = ("sums", "fully_connected_packed_s8_sums") if rows == 1 else ("pairs", "matmul_s8_pairs")
    assert step.calls[0].fields[field] == name + (ending if field == "pairs" or ending == "_wide" else "")
    assert_bit_exact(data, x=np.stack([np.full((rows, depth), value) for value in (-128, 127, 0)]).astype(np.int8))


def chain(seed):
    """Layers of every packed kernel one after another, depthwise ones between, which want planes."""
    rng, b = np.random.default_rng(seed), Builder()
    size, depth, scale, zero = (int(rng.integers(9, 15)), int(rng.integers(9, 15))), int(rng.integers(1, 6)), 0.05, 3
    source = at = b.tensor((1, *size, depth), scale, zero)

    def emit(kind, shape, weights_shape, channels, axis, options, **values):
        nonlocal at, scale, zero
        per_sum = int(np.prod(weights_shape)) // channels
        weights, scales, biases, out_scale = quantised(
            rng, weights_shape, channels, axis, per_sum, scale, rng.random() < 0.7, True
        )
        if rng.random() < 0.3:
            weights[..., 0] = -128  # of both channels of a pair: not fused
        activation, zero_out = [("RELU", -128), ("NONE", int(rng.integers(-100, 100))), ("RELU6", -128)][
            rng.integers(3)
        ]
        inputs = [at, b.const(weights, "int8", scales, axis=axis), b.const(biases, "int32", np.float32(scale) * scales)]
        scale, zero = out_scale, zero_out
        at = b.op(kind, inputs, [b.tensor(shape, scale, zero)], options, activation=activation, **values)

    for layer in range(12):
        channels = int(rng.integers(1, 50))
        if layer % 3 == 1:
            window_options = dict(strideH=1, strideW=1, padding="SAME")
            emit(
                "DEPTHWISE_CONV_2D",
                (1, *size, depth),
                (1, 3, 3, depth),
                depth,
                3,
                "DepthwiseConv2DOptions",
                depthMultiplier=1,
                **window_options,
            )
            continue
        filter_size = (1, 1) if layer % 3 == 2 else tuple(int(n) for n in rng.integers(1, 5, 2))
        dilation = int(rng.integers(1, 3)) if filter_size != (1, 1) else 1
        stride = 2 if layer in (5, 9) else 1
        size = tuple(window(n, f, stride, dilation, "SAME") for n, f in zip(size, filter_size))
        values = dict(
            strideH=stride, strideW=stride, dilationHFactor=dilation, dilationWFactor=dilation, padding="SAME"
        )
        emit("CONV_2D", (1, *size, channels), (channels, *filter_size, depth), channels, 0, "Conv2DOptions", **values)
        depth = channels
    rows = size[0] * size[1]
    emit("FULLY_CONNECTED", (1, *size, 9), (9, depth), 9, 0, "FullyConnectedOptions", keepNumDims=True)
    at = b.op(
        "RESHAPE",
        [at],
        [b.tensor((1, rows * 9), scale, zero)],
        "ReshapeOptions",
        newShape=np.array([1, rows * 9], np.int32),
    )
    for depth, outputs in ((rows * 9, 30), (30, 6), (6, 17)):
        emit("FULLY_CONNECTED", (1, outputs), (outputs, depth), outputs, 0, "FullyConnectedOptions")
    return b.finish([source], [at])


@pytest.mark.parametrize(
    "name", ["host", *(pytest.param(name, marks=pytest.mark.qemu) for name in ("mps2-an386", "mps3-an547"))]
)
@pytest.mark.parametrize("seed", range(3))
def test_chains(name, seed, tmp_path):
    """Every layer on the host, under its sanitizers, and on the emulated Cortex-M4F and M55, whose inner blocks are
    assembly and Helium.
    """
    assert_bit_exact_on(name, chain(seed), tmp_path, seed=seed)


def test_pointwise_layers_stay_in_place_up_to_a_reader_of_either_layout():
    """MLPerf Tiny's DS-CNN: one map of 8,000 B and the scratch of a layer, the last pointwise layer before the pool
    included.
    """
    assert plan_memory(run_passes(parse_tflite(ds_cnn(), "ds_cnn"))).arena_bytes < 8000 + 1000
