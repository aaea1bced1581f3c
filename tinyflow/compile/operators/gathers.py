"""STRIDED_SLICE, TRANSPOSE and our own LAYOUT: bytes read in another order."""

from typing import Any

from numpy.typing import NDArray

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.step import MAX_RANK, Step, int8, integers, left_padded, need, stored_integers, strides
from tinyflow.compile.needs import nothing
from tinyflow.compile.operators.axes import Order, Renamed, by_axis
from tinyflow.compile.operators.moves import moves_needs, stored_axes
from tinyflow.compile.operators.registry import Channels, Operator, Row, Trait, register
from tinyflow.compile.schema import Field, Options

# Masks of a STRIDED_SLICE that are not begin and end of an axis, and what shrinks one.
OTHERS = ("ellipsis_mask", "new_axis_mask", "offset")
SHRINKS = "shrink_axis_mask"
MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", SHRINKS)  # in the schema's order


def strided_slice(graph: Graph, op: Op) -> Step:
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    int8(graph, op, op.inputs[0]), int8(graph, op, op.outputs[0])
    rank = len(source.shape)
    need(rank <= 4, graph, op, f"{rank} axes; at most 4")
    for mask in OTHERS:
        need(not op.options[mask], graph, op, f"{mask} is set", "export the slice with plain begin, end and strides")
    begin, end, step = (
        integers(graph, op, position, name) for position, name in ((1, "begin"), (2, "end"), (3, "strides"))
    )
    need(
        len(begin) == len(end) == len(step) == rank and 0 not in step,
        graph,
        op,
        f"begin {begin}, end {end}, strides {step} for {rank} axes",
    )
    stored = stored_axes(graph, op, rank)
    units = dict(zip(stored, strides(tuple(source.shape[axis] for axis in stored))))
    start, shape, moves = 0, [], {}
    for axis, size in enumerate(source.shape):
        bit = 1 << axis
        first, last = begin[axis], end[axis]
        if op.options[SHRINKS] & bit:
            first += size if first < 0 else 0
            need(0 <= first < size and step[axis] == 1, graph, op, f"index {begin[axis]} of an axis of {size}")
            positions = range(first, first + 1)
        else:
            positions = range(size)[
                slice(
                    None if op.options["begin_mask"] & bit else first,
                    None if op.options["end_mask"] & bit else last,
                    step[axis],
                )
            ]
            shape.append(len(positions))
        need(len(positions) > 0, graph, op, f"axis {axis} of the slice is empty")
        start += positions.start * units[axis]
        moves[axis] = (len(positions), positions.step * units[axis])
    need(tuple(shape) == output.shape, graph, op, f"the slice is {shape}, the output {list(output.shape)}")
    return _gather(op, [moves[axis] for axis in stored], start)


def transpose(graph: Graph, op: Op) -> Step:
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    int8(graph, op, op.inputs[0]), int8(graph, op, op.outputs[0])
    rank = len(source.shape)
    need(rank <= MAX_RANK, graph, op, f"{rank} axes; at most {MAX_RANK}")
    order = integers(graph, op, 1, "the permutation")
    need(sorted(order) == list(range(rank)), graph, op, f"{order} is no permutation of {rank} axes")
    need(
        output.shape == tuple(source.shape[axis] for axis in order),
        graph,
        op,
        f"{list(source.shape)} by {order} is not {list(output.shape)}",
    )
    unit = strides(source.shape)
    return _gather(op, [(source.shape[axis], unit[axis]) for axis in order], 0)


def layout(graph: Graph, op: Op) -> Step:
    """Pixel after pixel to channel after channel, or back (passes/layouts.py)."""
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    _, height, width, channels = source.shape
    pixels = height * width
    moves = [(channels, 1), (pixels, channels)] if output.planar else [(pixels, 1), (channels, pixels)]
    return _gather(op, moves, 0)


def _gather(op: Op, moves: list[tuple[int, int]], start: int) -> Step:
    """moves: (size, stride in the input) of each axis of the output. Neighbours that move as one become one axis."""
    merged: list[tuple[int, int]] = []
    for size, stride in moves:
        if merged and merged[-1][1] == size * stride:
            size *= merged.pop()[0]
        if size > 1:
            merged.append((size, stride))
    merged = merged or [(1, 1)]
    fields = {
        "shape": left_padded([size for size, _ in merged], MAX_RANK, 1),
        "stride": left_padded([stride for _, stride in merged], MAX_RANK, 0),
        "start": start,
    }
    return Step.of(op, "gather_s8", "gather_s8_params", fields, (op.inputs[0], op.outputs[0]))


def _slice_of_all(graph: Graph, op: Op) -> bool:
    """As many elements after it, and none turned round."""
    plain = not any(op.options[mask] for mask in OTHERS)
    return plain and len(op.inputs) > 3 and all(step == 1 for step in stored_integers(graph, op, 3))


def _sliced(graph: Graph, op: Op) -> NDArray[Any]:
    data, *bounds = (graph.tensor(index).values for index in op.inputs)
    begin, end, step = (part.reshape(-1) for part in bounds)
    parts: list[int | slice] = []
    for axis in range(len(begin)):
        bit = 1 << axis
        if op.options[SHRINKS] & bit:
            parts.append(int(begin[axis]))
        else:
            first, last = (
                None if op.options[f"{side}_mask"] & bit else int(limit[axis])
                for side, limit in (("begin", begin), ("end", end))
            )
            parts.append(slice(first, last, int(step[axis])))
    result: NDArray[Any] = data[tuple(parts)]
    return result


def _slice_renamed(graph: Graph, op: Op, order: Order) -> Renamed | None:
    if any(op.options[mask] for mask in (*OTHERS, SHRINKS)):
        return None
    found = by_axis(graph, op, order, len(op.inputs) - 1)
    if found is None:
        return None
    masks = {
        name: sum((op.options[name] >> axis & 1) << order[axis] for axis in range(len(order)))
        for name in ("begin_mask", "end_mask")
    }
    return Renamed(found.parameters, op.options | masks, order)


def _moves_single_axes(graph: Graph, op: Op) -> bool:
    """Only axes of size 1 change places."""
    order, shape = stored_integers(graph, op, 1), graph.tensor(op.inputs[0]).shape
    moved = [axis for axis in order if axis < len(shape) and shape[axis] > 1]
    return bool(order) and moved == sorted(moved)


def _transposed(graph: Graph, op: Op) -> NDArray[Any]:
    data, order, *_ = (graph.tensor(index).values for index in op.inputs)
    return data.transpose(order.reshape(-1))


register(
    Operator(
        kind="STRIDED_SLICE",
        options=Options(
            "StridedSliceOptions",
            32,
            {**{name: Field(slot) for slot, name in enumerate(MASKS)}, "offset": Field(5, "?")},
        ),
        required=4,
        maps=1,
        weights=None,
        lower=strided_slice,
        needs=moves_needs,
        results=None,
        evaluate=_sliced,
        keeps_bytes=_slice_of_all,
        renamed=_slice_renamed,
        channels=Channels.MIXED,
        traits=Trait.NONE,
        row=Row(
            "`gather_s8`",
            "up to 4-D, negative strides, begin, end and shrink masks",
            "other masks; indices computed at run time",
        ),
    )
)
register(
    Operator(
        kind="TRANSPOSE",
        options=None,
        required=2,
        maps=1,
        weights=None,
        lower=transpose,
        needs=nothing,
        results=None,
        evaluate=_transposed,
        keeps_bytes=_moves_single_axes,
        renamed=None,
        channels=Channels.MIXED,
        traits=Trait.NONE,
        row=Row("`gather_s8`", "up to 5-D"),
    )
)
register(
    Operator(
        kind="LAYOUT",
        options=None,
        required=1,
        maps=1,
        weights=None,
        lower=layout,
        needs=nothing,
        results=None,
        evaluate=None,
        keeps_bytes=None,
        renamed=None,
        channels=Channels.KEPT,
        traits=Trait.INTERNAL,
        row=Row("`gather_s8`", "NHWC to planes or back, batch 1: `passes/layouts.py` puts it in"),
    )
)
