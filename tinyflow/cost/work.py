"""What the kernel of an operator does, as counts that its instructions are a linear function of. From shapes and
layouts alone.

The kernels work in blocks (three pixels and two channels of a matrix product, four outputs of a row), and padding is
computed like anything else: both are counted here as they are computed. Estimated are the kernels that Needs promise;
where a model's quantisation proves nothing, the compiler falls back to slower ones (docs/kernels.md), which nobody can
know before training.
"""

import math

import numpy as np

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.matmul import padded
from tinyflow.compile.operators import Trait, facts, named
from tinyflow.compile.operators.convolution import PIXELS, pointwise
from tinyflow.compile.operators.depthwise import Plane
from tinyflow.compile.operators.pooling import whole_image

CONV_2D, DEPTHWISE_CONV_2D, LAYOUT = named("CONV_2D"), named("DEPTHWISE_CONV_2D"), named("LAYOUT")
RESIZE_NEAREST_NEIGHBOR, CONCATENATION = named("RESIZE_NEAREST_NEIGHBOR"), named("CONCATENATION")
BY_PIXEL = (named("PAD"), named("STRIDED_SLICE"), CONCATENATION)  # a run of bytes each

# The columns of the table are these counts with "per_" before them:
COUNTS = (
    "work",  # multiply-accumulates; windows of a pool
    "output",  # elements written
    "input",  # elements read as words: widened for a product, copied into a padded plane
    "byte",  # elements read one by one, since they lie apart or go through a fused table
    "run",  # rows of planes, blocks of pixels, pixels of a copy: what has a start and an end
    "start",  # planes, or the operator itself
)


def kind(graph: Graph, op: Op) -> str:
    """The row of the table that ``op`` belongs to, such as pointwise, depthwise_5x5, max_pool_2d_planar."""
    source, name = graph.tensor(op.inputs[0]), op.kind.lower()
    if op.kind == CONV_2D:
        if _pointwise(graph, op):
            return "fully_connected" if math.prod(source.shape[1:3]) == 1 else "pointwise"
        return "convolution"
    if op.kind == DEPTHWISE_CONV_2D:
        return Plane.of(graph, op).kernel.removesuffix("_s8").replace("_planar", "")
    if facts(op).has(Trait.POOL):
        if whole_image(graph, op):
            return "mean"
        if source.planar or source.shape[3] == 1:
            return f"{name}_planar" + ("_strided" if op.options["stride_w"] > 1 else "")
    return name


def work(graph: Graph, op: Op) -> np.ndarray:
    """COUNTS of one operator, float64 (6,)."""
    output = graph.tensor(op.outputs[0])
    if op.kind == DEPTHWISE_CONV_2D:
        return np.array(_planes(graph, op), np.float64)
    if facts(op).weights is not None:
        return np.array(_product(graph, op), np.float64)
    if facts(op).has(Trait.POOL) and kind(graph, op) != "mean":
        return np.array(_pool(graph, op), np.float64)
    pixels, runs = output.elements // output.shape[-1], 0
    if op.kind in BY_PIXEL:
        runs = pixels * len(facts(op).inputs(op))
    elif op.kind == LAYOUT:
        runs = output.shape[3] if output.planar else pixels
    elif op.kind == RESIZE_NEAREST_NEIGHBOR and output.shape[3] > 1:
        runs = pixels
    return np.array(
        (graph.tensor(op.inputs[0]).elements if kind(graph, op) == "mean" else 0, output.elements, 0, 0, runs, 1),
        np.float64,
    )


def _product(graph: Graph, op: Op) -> tuple[int, ...]:
    """A matrix product: every pixel (one row of FULLY_CONNECTED) against every channel."""
    source, output, weights = (
        graph.tensor(op.inputs[0]),
        graph.tensor(op.outputs[0]).shape,
        graph.tensor(op.inputs[1]).shape,
    )
    if kind(graph, op) == "fully_connected":
        channels, depth = padded(weights[0]), padded(weights[-1])
        return channels * depth, channels, depth, 0, 0, 1
    channels = padded(weights[0], 2)
    if _pointwise(graph, op):
        depth, whole = padded(weights[3]), source.shape[1:3] == output[1:3]
        blocks = -(-output[1] * output[2] // PIXELS) if whole else output[1] * -(-output[2] // PIXELS)
        apart = source.planar and (weights[3] % 4 or not whole)
        inputs = PIXELS * blocks * depth
        return (
            inputs * channels,
            PIXELS * blocks * channels,
            0 if apart else inputs,
            inputs if apart else 0,
            blocks * (1 + weights[0] % 2),
            1,
        )
    pixels = padded(output[1] * output[2], PIXELS)
    inputs = pixels * weights[1] * padded(weights[2] * weights[3])
    return (
        inputs * channels,
        pixels * channels,
        inputs,
        _collected(op, source.shape, output, weights),
        pixels * weights[1],
        pixels,
    )


def _planes(graph: Graph, op: Op) -> tuple[int, ...]:
    """Planes, each copied between its padding and computed in two rows or four columns at once."""
    source, output, weights = (
        graph.tensor(op.inputs[0]).shape,
        graph.tensor(op.outputs[0]).shape,
        graph.tensor(op.inputs[1]).shape,
    )
    plane = Plane.of(graph, op)
    outputs = runs = 0
    for y in range(plane.outputs_h):
        for x in range(plane.outputs_w):
            rows, columns = -(-(output[1] - y) // plane.outputs_h), -(-(output[2] - x) // plane.outputs_w)
            if plane.taps is not None:
                columns = padded(columns)
            elif kind(graph, op) != "depthwise_3x3_stride2":
                rows = padded(rows, 2)
            outputs, runs = outputs + rows * columns, runs + rows
    inputs, apart = math.prod(source), plane.phases_w > 1 or bool({"table", "rectified"} & set(op.options))
    done = output[3] * outputs
    return (
        weights[1] * weights[2] * done,
        done,
        0 if apart else inputs,
        inputs if apart else 0,
        output[3] * runs,
        output[3] * plane.outputs_h * plane.outputs_w,
    )


def _pool(graph: Graph, op: Op) -> tuple[int, ...]:
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    window = op.options["filter_h"] * op.options["filter_w"]
    _, rows, columns, channels = output.shape
    if not kind(graph, op).endswith(("_planar", "_strided")):
        return rows * columns * channels * window, output.elements, 0, 0, rows * columns, 1
    at_once = 3 // op.options["stride_w"] + 1  # windows that begin in one word
    return (
        channels * rows * -(-columns // at_once) * window,
        output.elements,
        source.elements,
        0,
        channels * rows,
        channels,
    )


def _pointwise(graph: Graph, op: Op) -> bool:
    return pointwise(op, graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0]), graph.tensor(op.inputs[1]))


def _collected(op: Op, source: tuple[int, ...], output: tuple[int, ...], weights: tuple[int, ...]) -> int:
    """Taps in rows of the filter that meet padding on the left or right, or are dilated, and are
    gathered one by one.
    """

    def taps(axis: int, letter: str, side: str) -> np.ndarray:
        """Whether each (output, tap) along an axis lies inside."""
        starts = np.arange(output[axis])[:, None] * op.options[f"stride_{letter}"] - op.options[f"pad_{side}"]
        places = starts + np.arange(weights[axis]) * op.options[f"dilation_{letter}"]
        return (places >= 0) & (places < source[axis])

    rows, columns = taps(1, "h", "top"), taps(2, "w", "left")
    apart = ~columns.all(1) if op.options["dilation_w"] == 1 else np.ones(output[2], bool)
    return int(rows.sum() * apart.sum()) * weights[2]
