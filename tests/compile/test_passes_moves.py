"""Constants, operators that do nothing, transposes and concatenations: what only moves bytes goes, to the last bit."""

from dataclasses import replace

import numpy as np
import pytest
from bit_exact import assert_bit_exact
from test_passes_windows import Net, changed, kinds

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.passes import run_passes
from tinyflow.compile.passes.constants import fold_constants
from tinyflow.compile.passes.dead import remove_dead
from tinyflow.compile.passes.layouts import choose_layouts
from tinyflow.compile.passes.noops import remove_noops
from tinyflow.compile.passes.placed import place_concatenations
from tinyflow.compile.passes.tables import fuse_tables
from tinyflow.compile.passes.transposes import sink_transposes
from tinyflow.compile.plan import plan_memory
from tinyflow.compile.tflite import parse_tflite

NCHW, NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
OTHER = (np.float32(0.08), -20)


def transpose(net, x, order):
    return net.emit("TRANSPOSE", [x, net.integers(order)], [net.shapes[x][axis] for axis in order], "TransposeOptions")


def add(net, x, y, kind="ADD", shape=None):
    return net.emit(kind, [x, y], shape or net.shapes[x], kind.capitalize() + "Options")


# ---- constants
@pytest.mark.parametrize(
    "kind", ["TRANSPOSE", "PAD", "STRIDED_SLICE", "CONCATENATION", "RELU", "QUANTIZE", "LOGISTIC", "RESHAPE"]
)
def test_constants_are_computed_once(kind):
    net = Net((1, 5, 4, 6))
    shape = {
        "TRANSPOSE": (1, 6, 5, 4),
        "PAD": (1, 4, 4, 4),
        "STRIDED_SLICE": (1, 12, 9, 6),
        "CONCATENATION": (1, 5, 4, 3),
        "RESHAPE": (20, 6),
    }.get(kind, (1, 5, 4, 6))
    scale = OTHER if kind in ("RELU", "QUANTIZE", "LOGISTIC") else net.quant
    c = net.b.const(net.rng.integers(-128, 128, shape), "int8", *scale)
    net.shapes[c] = shape
    if kind == "TRANSPOSE":
        c = transpose(net, c, NHWC)
    elif kind == "PAD":
        c = net.pad(c, (1, 0), (0, 0), channels=(2, 0))
    elif kind == "STRIDED_SLICE":
        c = net.slice(c, 3, 1)
    elif kind == "CONCATENATION":
        c = net.emit(kind, [c, c], (1, 5, 4, 6), "ConcatenationOptions", axis=-1)
    elif kind == "RESHAPE":
        c = net.emit(kind, [c], (1, 5, 4, 6), "ReshapeOptions", newShape=np.array([1, 5, 4, 6], np.int32))
    elif kind == "LOGISTIC":
        c = net.emit(kind, [c], (1, 5, 4, 6), quant=(np.float32(1 / 256), -128))
    else:
        c = net.emit(kind, [c], (1, 5, 4, 6), "QuantizeOptions" if kind == "QUANTIZE" else None)
    changed(net.finish(add(net, net.input, c)), fold_constants, ["ADD"])


# ---- operators that do nothing
@pytest.mark.parametrize(
    "kind",
    [
        "PAD",
        "STRIDED_SLICE",
        "MAX_POOL_2D",
        "AVERAGE_POOL_2D",
        "QUANTIZE",
        "RELU",
        "RELU6",
        "CONCATENATION",
        "RESHAPE",
        "TRANSPOSE",
        "MEAN",
        "RESIZE_NEAREST_NEIGHBOR",
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_operators_that_keep_every_byte_go(kind, last):
    net = Net((1, 5, 4, 6), quant=(np.float32(6 / 255), -128))
    x, same = add(net, net.input, net.input), (1, 5, 4, 6)
    y = {
        "PAD": lambda: net.pad(x, (0, 0), (0, 0)),
        "STRIDED_SLICE": lambda: net.slice(x, 0, 0, (1, 1)),
        "MAX_POOL_2D": lambda: net.window(kind, x, (1, 1)),
        "AVERAGE_POOL_2D": lambda: net.window(kind, x, (1, 1)),
        "QUANTIZE": lambda: net.emit(kind, [x], same, "QuantizeOptions"),
        "RELU": lambda: net.relu(x),
        "RELU6": lambda: net.relu(x, kind=kind),
        "CONCATENATION": lambda: net.emit(kind, [x], same, "ConcatenationOptions", axis=1),
        "RESHAPE": lambda: net.emit(kind, [x], same, "ReshapeOptions", newShape=np.array(same, np.int32)),
        "TRANSPOSE": lambda: transpose(net, x, (0, 1, 2, 3)),
        "MEAN": lambda: net.emit(kind, [x, net.integers([0])], same, "ReducerOptions", keepDims=True),
        "RESIZE_NEAREST_NEIGHBOR": lambda: net.emit(
            kind, [x, net.integers([5, 4])], same, "ResizeNearestNeighborOptions"
        ),
    }[kind]()
    data = net.b.finish([net.input], [y]) if last else net.finish(add(net, y, net.input))
    changed(data, remove_noops, ["ADD"] if last else ["ADD", "ADD"])


def test_moves_of_axes_of_one_are_views():
    net = Net((1, 1, 7, 6))
    y = transpose(net, net.input, (0, 2, 1, 3))
    y = net.emit(
        "STRIDED_SLICE",
        [y, *map(net.integers, ((0, 0, 0, 0), (1, 7, 1, 6), (1, 1, 1, 1)))],
        (1, 7, 6),
        "StridedSliceOptions",
        shrinkAxisMask=4,
    )
    changed(
        net.finish(net.emit("MEAN", [y, net.integers([0])], (7, 6), "ReducerOptions", keepDims=False)), remove_noops, []
    )


def test_what_changes_a_value_stays():
    for make in (
        lambda net, x: net.relu(x),
        lambda net, x: net.emit("QUANTIZE", [x], (1, 5, 4, 6), "QuantizeOptions", quant=OTHER),
        lambda net, x: transpose(net, x, (0, 2, 1, 3)),
    ):
        net = Net((1, 5, 4, 6))
        graph = parse_tflite(net.finish(make(net, net.input)), "net")
        assert kinds(remove_noops(graph)) == kinds(graph) != []


# ---- transposes
def moved(net, output, expected, rows=8):
    """The pipeline's first passes leave ``expected``; bit-exact."""
    return changed(net.finish(output), lambda graph: remove_noops(sink_transposes(remove_noops(graph))), expected)


def test_pairs_cancel():
    net = Net()
    moved(net, net.relu(transpose(net, transpose(net, net.input, NCHW), NHWC)), ["RELU"])


def test_transposes_merge():
    net = Net((1, 3, 4, 5))
    y = transpose(net, transpose(net, net.input, (0, 2, 1, 3)), NCHW)
    graph = moved(net, y, ["TRANSPOSE"])
    assert graph.tensor(graph.ops[0].inputs[1]).data.tolist() == [0, 3, 2, 1]


@pytest.mark.parametrize(
    "kind",
    [
        "RELU",
        "LOGISTIC",
        "HARD_SWISH",
        "QUANTIZE",
        "ADD",
        "MUL",
        "SUB",
        "PAD",
        "STRIDED_SLICE",
        "CONCATENATION",
        "MEAN",
        "scalar",
        "constant",
    ],
)
def test_transposes_move_through(kind):
    """NCHW -> operator -> NHWC, as plain exports have it."""
    net = Net((1, 5, 4, 6))
    x = transpose(net, net.input, NCHW)  # 1, 6, 5, 4
    y = transpose(net, net.relu(net.input, net.quant), NCHW)
    c = net.b.const(net.rng.integers(-128, 128, (1, 6, 1, 4)), "int8", *OTHER)
    s = net.b.const(np.array(77), "int8", *OTHER)
    net.shapes |= {c: (1, 6, 1, 4), s: ()}
    z = {
        "RELU": lambda: net.relu(x, OTHER),
        "LOGISTIC": lambda: net.emit(kind, [x], net.shapes[x], quant=(np.float32(1 / 256), -128)),
        "HARD_SWISH": lambda: net.emit(kind, [x], net.shapes[x], "HardSwishOptions"),
        "QUANTIZE": lambda: net.emit(kind, [x], net.shapes[x], "QuantizeOptions", quant=OTHER),
        "ADD": lambda: add(net, x, y),
        "SUB": lambda: add(net, x, y, "SUB"),
        "MUL": lambda: add(net, x, y, "MUL"),
        "PAD": lambda: net.emit(kind, [x, net.integers([(0, 0), (1, 2), (0, 3), (4, 0)])], (1, 9, 8, 8), "PadOptions"),
        "STRIDED_SLICE": lambda: net.emit(
            kind,
            [x, *map(net.integers, ((0, 5, 9, 1), (9, -7, 5, 9), (1, -2, 1, 1)))],
            (1, 3, 5, 3),
            "StridedSliceOptions",
            beginMask=4,
            endMask=8,
        ),
        "CONCATENATION": lambda: net.emit(kind, [x, y], (1, 12, 5, 4), "ConcatenationOptions", axis=-3),
        "MEAN": lambda: net.emit(kind, [x, net.integers([1])], (1, 1, 5, 4), "ReducerOptions", keepDims=True),
        "scalar": lambda: add(net, x, s, "MUL"),
        "constant": lambda: add(net, x, c),
    }[kind]()
    last = transpose(net, z, NHWC)
    graph = moved(
        net, last, [name for name in kinds(run_passes(parse_tflite(net.finish(last), "net"))) if name != "TRANSPOSE"]
    )
    assert "TRANSPOSE" not in kinds(graph)


@pytest.mark.parametrize("keep", [False, True])
def test_a_transpose_before_a_global_mean_goes(keep):
    net = Net((1, 5, 4, 6))
    shape = (1, 6, 1, 1) if keep else (1, 6)
    y = net.emit(
        "MEAN", [transpose(net, net.input, NCHW), net.integers([2, 3])], shape, "ReducerOptions", keepDims=keep
    )
    moved(net, y, ["MEAN"])


def test_a_transpose_before_a_dense_layer_goes_into_its_weights():
    net = Net((1, 5, 4, 6))
    flat = net.emit(
        "RESHAPE", [transpose(net, net.input, NCHW)], (1, 120), "ReshapeOptions", newShape=np.array([1, 120], np.int32)
    )
    y = net.emit("FULLY_CONNECTED", [flat, *net.weights((9, 120), 0)], (1, 9), "FullyConnectedOptions")
    moved(net, y, ["FULLY_CONNECTED"])


def test_transposes_that_nothing_undoes_stay():
    net = Net((1, 5, 4, 6))
    x = transpose(net, net.input, NCHW)
    first, second = net.relu(x), net.relu(x, OTHER)  # behind both it would be two
    y = net.emit("QUANTIZE", [second], net.shapes[second], "QuantizeOptions")
    assert kinds(moved(net, add(net, first, y), ["TRANSPOSE", "RELU", "RELU", "QUANTIZE", "ADD"]))[0] == "TRANSPOSE"


# ---- concatenations
def placed(graph: Graph) -> list[bool]:
    return [op.placed for op in graph.ops if op.kind == "CONCATENATION"]


def branches(net, *activations):
    """Depthwise convolutions: their outputs are planar."""
    return [
        net.window("DEPTHWISE_CONV_2D", net.input, (1, 3, 3, 6), padding="SAME", activation=activation)
        for activation in activations
    ]


def planned(graph: Graph) -> Graph:
    return place_concatenations(choose_layouts(graph))


def test_planes_are_made_in_their_place():
    net = Net()
    parts = branches(net, "NONE", "RELU", "RELU6")
    joined = net.emit("CONCATENATION", parts, (1, 9, 8, 18), "ConcatenationOptions", axis=3)
    y = net.window("DEPTHWISE_CONV_2D", joined, (1, 3, 3, 18))
    data = net.finish(add(net, net.window("CONV_2D", parts[1], (18, 3, 3, 6)), y))
    graph = changed(data, planned, ["DEPTHWISE_CONV_2D"] * 3 + ["CONCATENATION", "DEPTHWISE_CONV_2D", "CONV_2D", "ADD"])
    plan = plan_memory(graph)
    assert placed(graph) == [True]
    assert [plan.offsets[part] - plan.offsets[joined] for part in parts] == [0, 432, 864]
    assert "CONCATENATION" not in {layer.kind for layer in assert_bit_exact(data).layers}


def test_what_cannot_be_made_in_place_is_copied():
    """The network's input, a constant, one tensor twice, a tensor of two concatenations."""
    net = Net((1, 6, 5, 4))
    c = net.b.const(net.rng.integers(-128, 128, (1, 2, 5, 4)), "int8", *net.quant)
    net.shapes[c] = (1, 2, 5, 4)
    part = net.relu(net.input)
    first = net.emit("CONCATENATION", [net.input, part, c, part], (1, 20, 5, 4), "ConcatenationOptions", axis=1)
    second = net.emit("CONCATENATION", [part, c], (1, 8, 5, 4), "ConcatenationOptions", axis=1)
    graph = changed(net.finish(first, second), planned, ["RELU", *["CONCATENATION"] * 8])
    assert sum(placed(graph)) == 3


def test_concatenations_that_interleave_are_copied():
    net = Net((1, 6, 5, 4))
    y = net.emit(
        "CONCATENATION",
        [net.relu(net.input), net.relu(net.input, kind="RELU6")],
        (1, 6, 10, 4),
        "ConcatenationOptions",
        axis=2,
    )
    graph = changed(net.finish(y), planned, ["RELU", "RELU6", "CONCATENATION"])
    assert placed(graph) == [False]


def test_concatenations_within_concatenations():
    net = Net((1, 6, 5, 4))
    inner = net.emit(
        "CONCATENATION",
        [net.relu(net.input), net.relu(net.input, kind="RELU6")],
        (1, 12, 5, 4),
        "ConcatenationOptions",
        axis=1,
    )
    part = net.emit("LOGISTIC", [net.input], (1, 6, 5, 4), quant=(np.float32(1 / 256), -128))
    part = net.emit("QUANTIZE", [part], (1, 6, 5, 4), "QuantizeOptions")
    outer = net.emit("CONCATENATION", [part, inner], (1, 18, 5, 4), "ConcatenationOptions", axis=1)
    graph = changed(
        net.finish(outer), planned, ["RELU", "RELU6", "CONCATENATION", "LOGISTIC", "QUANTIZE", "CONCATENATION"]
    )
    assert placed(graph) == [True, True]


# ---- functions of one value before depthwise convolutions
@pytest.mark.parametrize("kind", ["RELU", "RELU6", "LOGISTIC", "HARD_SWISH", "QUANTIZE"])
@pytest.mark.parametrize("readers", [1, 2])
def test_tables_go_into_planar_depthwise_convolutions(kind, readers):
    net = Net()
    options = {"HARD_SWISH": "HardSwishOptions", "QUANTIZE": "QuantizeOptions"}.get(kind)
    quant = {"LOGISTIC": (np.float32(1 / 256), -128), "RELU": (np.float32(0.03), -128), "RELU6": net.quant}.get(
        kind, OTHER
    )
    x = net.emit(kind, [net.input], (1, 9, 8, 6), options, quant=quant)
    net.quant, plain = quant, net.quant  # biases on the scale of what the weights meet
    outputs = []
    for dilation in range(1, readers + 1):
        more = net.weights((1, 3, 3, 6), 3)
        window = dict(
            strideH=1, strideW=1, padding="SAME", depthMultiplier=1, dilationHFactor=dilation, dilationWFactor=dilation
        )
        outputs.append(
            net.emit("DEPTHWISE_CONV_2D", [x, *more], (1, 9, 8, 6), "DepthwiseConv2DOptions", plain, **window)
        )
    y = outputs[0] if readers == 1 else net.emit("ADD", outputs, (1, 9, 8, 6), "AddOptions", plain)
    graph = changed(
        net.b.finish([net.input], [y]), fuse_tables, ["DEPTHWISE_CONV_2D"] * readers + ["ADD"] * (readers - 1)
    )
    assert all(
        op.options["table"].shape == (256,) and op.options["input_zero_point"] == quant[1] for op in graph.ops[:readers]
    )


def test_tables_stay_where_others_read():
    net = Net()
    x = net.relu(net.input, (np.float32(0.03), -128))
    data = net.finish(x, net.window("DEPTHWISE_CONV_2D", x, (1, 3, 3, 6)))
    assert kinds(fuse_tables(parse_tflite(data, "net")))[0] == "RELU"


def test_networks_without_quantisation_say_rectified():
    net = Net()
    graph = parse_tflite(net.finish(net.window("DEPTHWISE_CONV_2D", net.relu(net.input), (1, 3, 3, 6))), "net")
    bare = replace(graph, tensors=tuple(replace(tensor, quantization=None) for tensor in graph.tensors))
    after = remove_dead(fuse_tables(bare))
    assert kinds(after) == ["DEPTHWISE_CONV_2D"] and after.ops[0].options["rectified"]
    assert after.ops[0] == Op(
        "DEPTHWISE_CONV_2D", (graph.inputs[0], *after.ops[0].inputs[1:]), after.ops[0].outputs, after.ops[0].options
    )
