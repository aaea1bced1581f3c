"""Padding, slices, groups and activations go into the convolutions and pools beside them, to the last bit."""

import numpy as np
import pytest
from bit_exact import assert_bit_exact
from tflite_builder import Builder

from tinyflow.compile.graph import Graph
from tinyflow.compile.passes import run_passes
from tinyflow.compile.passes.activations import fuse_activations
from tinyflow.compile.passes.dead import remove_dead
from tinyflow.compile.passes.grouped import untangle_groups
from tinyflow.compile.passes.padding import fuse_padding
from tinyflow.compile.passes.slices import fuse_slices
from tinyflow.compile.tflite import parse_tflite

Q = (np.float32(0.05), 3)
MASKS = dict(beginMask=0, endMask=0, ellipsisMask=0, newAxisMask=0, shrinkAxisMask=0)


class Net:
    """Operators after one another on NHWC maps of one quantisation."""

    def __init__(self, shape=(1, 9, 8, 6), quant=Q, seed=0):
        self.b, self.rng, self.quant = Builder(), np.random.default_rng(seed), quant
        self.input = self.b.tensor(shape, *quant)
        self.shapes = {self.input: tuple(shape)}

    def emit(self, kind, inputs, shape, options=None, quant=None, **values):
        output = self.b.tensor(shape, *(quant or self.quant))
        self.shapes[output] = tuple(shape)
        return self.b.op(kind, inputs, [output], options, **values)

    def integers(self, values):
        return self.b.const(np.array(values), "int32")

    def pad(self, x, rows, columns, value=None, channels=(0, 0)):
        n, h, w, c = self.shapes[x]
        inputs = [x, self.integers([(0, 0), rows, columns, channels])]
        if value is not None:
            inputs.append(self.b.const(np.array([value]), "int8", *self.quant))
        shape = (n, h + sum(rows), w + sum(columns), c + sum(channels))
        return self.emit(
            "PADV2" if value is not None else "PAD",
            inputs,
            shape,
            "PadV2Options" if value is not None else "PadOptions",
        )

    def weights(self, shape, axis):
        channels = shape[axis]
        scales = self.rng.uniform(0.003, 0.01, channels).astype(np.float32)
        bias = self.b.const(self.rng.integers(-500, 500, channels), "int32", self.quant[0] * scales)
        return [self.b.const(self.rng.integers(-127, 128, shape), "int8", scales, axis=axis), bias]

    def window(self, kind, x, weights, stride=1, padding="VALID", dilation=1, activation="NONE"):
        """A convolution with weights of the shape ``weights``, or a pool of this (rows, columns)."""
        n, h, w, c = self.shapes[x]
        rows, columns = weights if "POOL" in kind else weights[1:3]
        sizes = [
            -(-size // stride) if padding == "SAME" else (size - (k - 1) * dilation - 1) // stride + 1
            for size, k in ((h, rows), (w, columns))
        ]
        values = dict(strideH=stride, strideW=stride, padding=padding, activation=activation)
        if "POOL" in kind:
            return self.emit(
                kind, [x], (n, *sizes, c), "Pool2DOptions", filterHeight=rows, filterWidth=columns, **values
            )
        values |= dict(dilationHFactor=dilation, dilationWFactor=dilation)
        if kind == "CONV_2D":
            return self.emit(kind, [x, *self.weights(weights, 0)], (n, *sizes, weights[0]), "Conv2DOptions", **values)
        more = self.weights(weights, 3)
        return self.emit(
            kind,
            [x, *more],
            (n, *sizes, weights[3]),
            "DepthwiseConv2DOptions",
            depthMultiplier=weights[3] // c,
            **values,
        )

    def slice(self, x, row, column, step=(2, 2)):
        n, h, w, c = self.shapes[x]
        shape = (n, len(range(row, h, step[0])), len(range(column, w, step[1])), c)
        bounds = [self.integers(part) for part in ((0, row, column, 0), (n, h, w, c), (1, *step, 1))]
        return self.emit("STRIDED_SLICE", [x, *bounds], shape, "StridedSliceOptions", **MASKS)

    def relu(self, x, quant=None, kind="RELU"):
        return self.emit(kind, [x], self.shapes[x], quant=quant)

    def finish(self, *outputs):
        """Bytes; several outputs are flattened, rescaled and concatenated into one."""
        flat = []
        for output in outputs:
            size = int(np.prod(self.shapes[output]))
            flat.append(
                self.emit("RESHAPE", [output], (1, size), "ReshapeOptions", newShape=np.array([1, size], np.int32))
            )
        sizes = sum(self.shapes[part][1] for part in flat)
        last = (
            flat[0] if len(flat) == 1 else self.emit("CONCATENATION", flat, (1, sizes), "ConcatenationOptions", axis=1)
        )
        return self.b.finish([self.input], [last])


def kinds(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops if op.kind not in ("RESHAPE", "LAYOUT")]


def changed(data: bytes, function, expected: list[str]) -> Graph:
    """``function`` on the graph gives the kinds ``expected`` and nothing more when run again; the pipeline is TFLM's to
    the last bit.
    """
    pytest.importorskip("tflite_micro", reason="needs the tflite-micro wheel: make setup")
    after = function(parse_tflite(data, "net"))
    assert kinds(after) == expected
    assert function(after).ops == after.ops
    assert_bit_exact(data, rows=8)
    return after


@pytest.mark.parametrize(
    "kind, weights, dilation",
    [
        ("CONV_2D", (5, 3, 3, 6), 1),
        ("CONV_2D", (6, 3, 3, 2), 2),
        ("CONV_2D", (4, 1, 1, 6), 1),
        ("DEPTHWISE_CONV_2D", (1, 3, 3, 6), 2),
        ("DEPTHWISE_CONV_2D", (1, 5, 3, 12), 1),
    ],
)
@pytest.mark.parametrize("padding", ["VALID", "SAME"])
def test_pad_goes_into_convolutions(kind, weights, dilation, padding):
    net = Net()
    padded = net.pad(net.input, (2, 1), (0, 3))
    data = net.finish(
        net.window(kind, padded, weights, stride=2 if dilation == 1 else 1, padding=padding, dilation=dilation)
    )
    graph = changed(data, fuse_padding_alone, [kind])
    options = graph.ops[0].options
    assert options["pad_top"] >= 2 and options["padding"] == "EXPLICIT"


def fuse_padding_alone(graph: Graph) -> Graph:
    return remove_dead(fuse_padding(graph))


def test_pad_goes_into_each_reader_and_stays_for_the_others():
    net = Net()
    padded = net.pad(net.input, (1, 0), (0, 1))
    first, second = net.window("CONV_2D", padded, (4, 3, 3, 6)), net.window("DEPTHWISE_CONV_2D", padded, (1, 3, 3, 6))
    changed(net.finish(first, second), fuse_padding_alone, ["CONV_2D", "DEPTHWISE_CONV_2D", "CONCATENATION"])
    net = Net()
    padded = net.pad(net.input, (1, 0), (0, 1))
    first, second = net.window("CONV_2D", padded, (4, 3, 3, 6)), net.relu(padded)
    changed(net.finish(first, second), fuse_padding_alone, ["PAD", "CONV_2D", "RELU", "CONCATENATION"])


@pytest.mark.parametrize("zero, value", [(-128, None), (3, None), (3, -128)])
@pytest.mark.parametrize("kind", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
@pytest.mark.parametrize("stride, planar", [(1, False), (2, False), (1, True), (2, True)])
def test_pad_goes_into_pools_where_exact(zero, value, kind, stride, planar):
    net = Net(quant=(np.float32(0.05), zero))
    x = net.window("DEPTHWISE_CONV_2D", net.input, (1, 3, 3, 6), padding="SAME") if planar else net.input
    pool = net.window(kind, net.pad(x, (1, 1), (1, 0), value), (3, 3), stride)
    fused = kind == "MAX_POOL_2D" or value is None  # -128 is the least of all, yet no zero point
    graph = changed(
        net.finish(pool), fuse_padding_alone, ["DEPTHWISE_CONV_2D"] * planar + ([kind] if fused else ["PADV2", kind])
    )
    assert graph.ops[planar].options.get("counts_padding", False) == (
        fused and (kind == "AVERAGE_POOL_2D" or -128 not in (zero, value))
    )


def test_pad_stays_where_it_means_something_else():
    cases = []
    for more in (dict(value=9), dict(channels=(0, 1))):  # not the zero point; new channels
        net = Net()
        padded = net.pad(net.input, (1, 1), (1, 1), **more)
        cases.append((net, net.window("CONV_2D", padded, (4, 3, 3, net.shapes[padded][3])), "CONV_2D"))
    net = Net()
    cases.append(
        (
            net,
            net.window("AVERAGE_POOL_2D", net.pad(net.input, (1, 0), (0, 0)), (3, 3), padding="SAME"),
            "AVERAGE_POOL_2D",
        )
    )
    for net, output, kind in cases:
        graph = fuse_padding_alone(parse_tflite(net.finish(output), "net"))
        assert kinds(graph)[-1] == kind and len(kinds(graph)) == 2


@pytest.mark.parametrize("row, column, padded", [(0, 0, 0), (1, 1, 0), (1, 0, 1), (1, 1, 1)])
def test_slice_before_a_pointwise_convolution_is_its_stride(row, column, padded):
    net = Net((1, 9, 8, 6))
    x = net.pad(net.input, (0, 1), (0, 1)) if padded else net.input
    data = net.finish(net.window("CONV_2D", net.slice(x, row, column), (4, 1, 1, 6)))
    graph = changed(data, lambda graph: fuse_padding_alone(fuse_slices(graph)), ["CONV_2D"])
    assert [graph.ops[0].options[name] for name in ("pad_top", "pad_left", "stride_h", "stride_w")] == [
        -row,
        -column,
        2,
        2,
    ]


@pytest.mark.parametrize(
    "kind, weights",
    [
        ("MAX_POOL_2D", (3, 3)),
        ("AVERAGE_POOL_2D", (3, 3)),
        ("CONV_2D", (4, 3, 3, 6)),
        ("DEPTHWISE_CONV_2D", (1, 5, 5, 6)),
    ],
)
@pytest.mark.parametrize("row", [0, 1])
def test_slice_behind_windows_is_their_stride(kind, weights, row):
    net = Net()
    data = net.finish(net.slice(net.window(kind, net.input, weights, padding="SAME"), row, 1, (2, 3)))
    assert changed(data, fuse_slices, [kind]).ops[0].options["stride_w"] == 3


def test_slices_stay_where_others_read_or_more_is_cut():
    net = Net()
    pool = net.window("MAX_POOL_2D", net.input, (3, 3), padding="SAME")
    changed(
        net.finish(net.slice(pool, 0, 0), net.relu(pool)),
        fuse_slices,
        ["MAX_POOL_2D", "STRIDED_SLICE", "RELU", "CONCATENATION"],
    )
    net = Net()  # a 3x3 window over a slice would see the pixels between
    changed(
        net.finish(net.window("CONV_2D", net.slice(net.input, 0, 0), (4, 3, 3, 6))),
        fuse_slices,
        ["STRIDED_SLICE", "CONV_2D"],
    )


@pytest.mark.parametrize("outputs, dilation", [(6, 1), (6, 2), (12, 1)])
def test_grouped_convolutions_of_single_channels_are_depthwise(outputs, dilation):
    net = Net()
    graph = changed(
        net.finish(net.window("CONV_2D", net.input, (outputs, 3, 3, 1), padding="SAME", dilation=dilation)),
        untangle_groups,
        ["DEPTHWISE_CONV_2D"],
    )
    assert graph.tensor(graph.ops[0].inputs[1]).shape == (1, 3, 3, outputs)


@pytest.mark.parametrize("outputs", [1, 7])
def test_depthwise_convolutions_of_one_channel_are_plain(outputs):
    net = Net((1, 9, 8, 1))
    changed(
        net.finish(net.window("DEPTHWISE_CONV_2D", net.input, (1, 3, 5, outputs), padding="SAME", stride=2)),
        untangle_groups,
        ["CONV_2D"],
    )


def test_groups_of_several_channels_stay():
    net = Net()
    changed(net.finish(net.window("CONV_2D", net.input, (4, 3, 3, 3), padding="SAME")), untangle_groups, ["CONV_2D"])


@pytest.mark.parametrize("relu", ["RELU", "RELU6"])
@pytest.mark.parametrize(
    "kind", ["CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D", "ADD", "SUB", "MUL"]
)
def test_relu_goes_into_the_operator_before(kind, relu):
    net = Net()
    if kind in ("ADD", "SUB", "MUL"):
        y = net.emit(
            kind,
            [net.input, net.window("MAX_POOL_2D", net.input, (3, 3), padding="SAME")],
            (1, 9, 8, 6),
            kind.capitalize() + "Options",
        )
    else:
        y = net.window(kind, net.input, {"CONV_2D": (4, 3, 3, 6), "DEPTHWISE_CONV_2D": (1, 3, 3, 6)}.get(kind, (2, 2)))
    graph = changed(net.finish(net.relu(y, kind=relu)), fuse_activations, kinds_before(kind))
    assert [op for op in graph.ops if op.kind == kind][-1].options["activation"] == relu


def kinds_before(kind: str) -> list[str]:
    return ["MAX_POOL_2D", kind] if kind in ("ADD", "SUB", "MUL") else [kind]


def test_relu_stays_between_scales_and_where_others_read():
    net = Net()
    y = net.window("CONV_2D", net.input, (4, 3, 3, 6))
    changed(net.finish(net.relu(y, (np.float32(0.04), -128))), fuse_activations, ["CONV_2D", "RELU"])
    net = Net()
    y = net.window("CONV_2D", net.input, (4, 3, 3, 6))
    changed(net.finish(net.relu(y), y), fuse_activations, ["CONV_2D", "RELU", "CONCATENATION"])


def test_everything_at_once():
    net = Net((1, 11, 9, 6))
    y = net.relu(net.window("CONV_2D", net.pad(net.input, (1, 2), (2, 1)), (6, 5, 3, 1), dilation=2))
    y = net.window("CONV_2D", net.slice(net.pad(y, (0, 1), (0, 1)), 1, 1), (5, 1, 1, 6))
    data = net.finish(net.relu(y))
    assert kinds(run_passes(parse_tflite(data, "net"))) == ["DEPTHWISE_CONV_2D", "CONV_2D"]
    assert_bit_exact(data, rows=8)
