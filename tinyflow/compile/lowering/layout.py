"""CONCATENATION, PAD, RESIZE_NEAREST_NEIGHBOR, STRIDED_SLICE, TRANSPOSE: bytes that only move."""

import math

import numpy as np

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.step import (
    MAX_RANK,
    Call,
    Step,
    constant,
    int8,
    integers,
    left_padded,
    need,
    refuse,
    strides,
)
from tinyflow.compile.needs import NHWC, SAME, Needs
from tinyflow.compile.resampling import nearest

PLANES = (0, 3, 1, 2)  # axes of an NHWC map in the order of a planar one's bytes


def moves_needs(graph: Graph, op: Op) -> Needs:
    """PAD, STRIDED_SLICE, CONCATENATION, resize: pixels or planes, all maps alike."""
    maps = op.inputs if op.kind == "CONCATENATION" else op.inputs[:1]
    fits = all(
        len(graph.tensor(index).shape) == 4 and not graph.tensor(index).constant for index in (*maps, *op.outputs)
    )
    return Needs(SAME if fits else NHWC)


def _planar(graph: Graph, op: Op) -> bool:
    return any(graph.tensor(index).planar for index in (*op.inputs, *op.outputs))


def _axes(graph: Graph, op: Op, rank: int) -> tuple[int, ...]:
    """The axes in the order of the maps' bytes."""
    return PLANES if _planar(graph, op) else tuple(range(rank))


def concatenation(graph: Graph, op: Op) -> Step:
    output = graph.tensor(op.outputs[0])
    scale, zero = int8(graph, op, op.outputs[0])
    need(op.options["activation"] == "NONE", graph, op, f"the fused activation {op.options['activation']}")
    need(len(op.inputs) <= 10, graph, op, f"{len(op.inputs)} inputs; at most 10")
    rank = len(output.shape)
    axis = (
        op.options["axis"] % rank
        if rank and -rank <= op.options["axis"] < rank
        else refuse(graph, op, f"axis {op.options['axis']}", "")
    )
    stored = _axes(graph, op, rank)
    inner = math.prod(output.shape[other] for other in stored[stored.index(axis) + 1 :])
    outer = math.prod(output.shape[other] for other in stored[: stored.index(axis)])
    calls, start = [], 0
    for index in op.inputs:
        source = graph.tensor(index)
        need(
            int8(graph, op, index) == (scale, zero),
            graph,
            op,
            f"input {source.name!r} differs from the output in scale or zero point",
            "TFLM refuses this too: put a QUANTIZE before it (the converter does)",
        )
        others = [size for position, size in enumerate(source.shape) if position != axis]
        need(
            len(source.shape) == rank
            and others == [size for position, size in enumerate(output.shape) if position != axis],
            graph,
            op,
            f"input {source.name!r} {list(source.shape)} does not fit {list(output.shape)} along axis {axis}",
        )
        run = source.shape[axis] * inner
        fields = {"outer": outer, "run": run, "output_run": output.shape[axis] * inner, "output_start": start}
        calls.append(Call("concatenation_s8", "concatenation_s8_params", fields, (index, op.outputs[0])))
        start += run
    need(
        start == output.shape[axis] * inner, graph, op, f"the inputs do not fill {list(output.shape)} along axis {axis}"
    )
    return Step(op, tuple(calls))


def pad(graph: Graph, op: Op) -> Step:
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    int8(graph, op, op.inputs[0])
    scale, zero = int8(graph, op, op.outputs[0])
    rank = len(source.shape)
    need(rank <= MAX_RANK, graph, op, f"{rank} axes; at most {MAX_RANK}")
    paddings = integers(graph, op, 1, "paddings")
    need(len(paddings) == 2 * rank, graph, op, f"{len(paddings)} paddings for {rank} axes")
    before, after = paddings[::2], paddings[1::2]
    need(min(paddings) >= 0, graph, op, f"negative paddings {paddings}", "use a slice")
    need(
        output.shape == tuple(map(sum, zip(source.shape, before, after))),
        graph,
        op,
        f"{list(source.shape)} padded by {paddings} is not {list(output.shape)}",
    )
    value = zero
    if len(op.inputs) > 2:
        data = constant(graph, op, 2, "the padding value")
        need(
            data.size == 1 and int8(graph, op, op.inputs[2]) == (scale, zero),
            graph,
            op,
            "the padding value is on another scale than the output",
        )
        value = int(data.reshape(-1)[0])
    sizes: list[tuple[int, int, int]] = []  # of each axis: elements, those padded before and after
    for axis in reversed(_axes(graph, op, rank)):
        unit = 1
        if sizes and sizes[-1][1:] == (0, 0):  # what is not padded moves with the axis outside it
            unit = sizes.pop()[0]
        sizes.append((source.shape[axis] * unit, before[axis] * unit, after[axis] * unit))
    names = ("input_shape", "before", "after")
    fields = {
        name: left_padded(values[::-1], MAX_RANK, filler) for name, values, filler in zip(names, zip(*sizes), (1, 0, 0))
    }
    fields["value"] = value
    return Step.of(op, "pad_s8", "pad_s8_params", fields, (op.inputs[0], op.outputs[0]))


def resize_nearest_neighbor(graph: Graph, op: Op) -> Step:
    source, output = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
    int8(graph, op, op.inputs[0]), int8(graph, op, op.outputs[0])
    size = tuple(integers(graph, op, 1, "the size"))
    need(
        len(source) == 4 and output == (source[0], *size, source[3]),
        graph,
        op,
        f"{list(source)} resized to {list(size)} is not {list(output)}",
    )
    need(max(source) < 1 << 15, graph, op, f"{list(source)}: the kernel's indices are int16", "make the map smaller")
    rows, columns = (nearest(before, after, **op.options).astype(np.int16) for before, after in zip(source[1:3], size))
    planar = _planar(graph, op)  # then planes are batches of one channel
    fields = {
        "rows": rows,
        "columns": columns,
        "batches": source[3] if planar else source[0],
        "channels": 1 if planar else source[3],
        "input_height": source[1],
        "input_width": source[2],
        "output_height": size[0],
        "output_width": size[1],
    }
    kernel = "resize_nearest_neighbor_s8"
    return Step.of(op, kernel, kernel + "_params", fields, (op.inputs[0], op.outputs[0]))


def strided_slice(graph: Graph, op: Op) -> Step:
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    int8(graph, op, op.inputs[0]), int8(graph, op, op.outputs[0])
    options, rank = op.options, len(source.shape)
    need(rank <= 4, graph, op, f"{rank} axes; at most 4")
    for mask in ("ellipsis_mask", "new_axis_mask", "offset"):
        need(not options[mask], graph, op, f"{mask} is set", "export the slice with plain begin, end and strides")
    begin, end, step = (
        integers(graph, op, position, name) for position, name in ((1, "begin"), (2, "end"), (3, "strides"))
    )
    need(
        len(begin) == len(end) == len(step) == rank and 0 not in step,
        graph,
        op,
        f"begin {begin}, end {end}, strides {step} for {rank} axes",
    )
    stored = _axes(graph, op, rank)
    units = dict(zip(stored, strides(tuple(source.shape[axis] for axis in stored))))
    start, shape, moves = 0, [], {}
    for axis, size in enumerate(source.shape):
        bit = 1 << axis
        first, last = begin[axis], end[axis]
        if options["shrink_axis_mask"] & bit:
            first += size if first < 0 else 0
            need(0 <= first < size and step[axis] == 1, graph, op, f"index {begin[axis]} of an axis of {size}")
            positions = range(first, first + 1)
        else:
            positions = range(size)[
                slice(
                    None if options["begin_mask"] & bit else first,
                    None if options["end_mask"] & bit else last,
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
