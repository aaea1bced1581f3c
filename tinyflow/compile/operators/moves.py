"""CONCATENATION, PAD, RESIZE_NEAREST_NEIGHBOR: bytes that go into a larger map, as they are."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
)
from tinyflow.compile.needs import NHWC, SAME, Needs
from tinyflow.compile.operators import options
from tinyflow.compile.operators.axes import Order, Renamed, by_axis
from tinyflow.compile.operators.registry import Channels, Operator, Row, Trait, facts, register
from tinyflow.compile.resampling import nearest
from tinyflow.compile.schema import Field, Options

PLANES = (0, 3, 1, 2)  # axes of an NHWC map in the order of a planar one's bytes


def moves_needs(graph: Graph, op: Op) -> Needs:
    """PAD, STRIDED_SLICE, CONCATENATION, resize: pixels or planes, all maps alike."""
    maps = facts(op).inputs(op)
    fits = all(
        len(graph.tensor(index).shape) == 4 and not graph.tensor(index).constant for index in (*maps, *op.outputs)
    )
    return Needs(SAME if fits else NHWC)


def planar(graph: Graph, op: Op) -> bool:
    return any(graph.tensor(index).planar for index in (*op.inputs, *op.outputs))


def stored_axes(graph: Graph, op: Op, rank: int) -> tuple[int, ...]:
    """The axes in the order of the maps' bytes."""
    return PLANES if planar(graph, op) else tuple(range(rank))


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
    stored = stored_axes(graph, op, rank)
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
    for axis in reversed(stored_axes(graph, op, rank)):
        unit = 1
        if sizes and sizes[-1][1:] == (0, 0):  # what is not padded moves with the axis outside it
            unit = sizes.pop()[0]
        sizes.append((source.shape[axis] * unit, before[axis] * unit, after[axis] * unit))
    names = ("input_shape", "before", "after")
    fields: dict[str, Any] = {
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
    planes = planar(graph, op)  # then planes are batches of one channel
    fields = {
        "rows": rows,
        "columns": columns,
        "batches": source[3] if planes else source[0],
        "channels": 1 if planes else source[3],
        "input_height": source[1],
        "input_width": source[2],
        "output_height": size[0],
        "output_width": size[1],
    }
    kernel = "resize_nearest_neighbor_s8"
    return Step.of(op, kernel, kernel + "_params", fields, (op.inputs[0], op.outputs[0]))


def _same_shape(graph: Graph, op: Op) -> bool:
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    return source.alike(output) and source.shape == output.shape and op.options.get("activation", "NONE") == "NONE"


def _joined(graph: Graph, op: Op) -> NDArray[Any]:
    return np.concatenate([graph.tensor(index).values for index in op.inputs], op.options["axis"])


def _padded(graph: Graph, op: Op) -> NDArray[Any]:
    data, paddings, *_ = (graph.tensor(index).values for index in op.inputs)
    value = graph.tensor(op.outputs[0]).affine.zero_point[0]
    return np.pad(data, paddings.reshape(-1, 2), constant_values=value)


def _axis_renamed(graph: Graph, op: Op, order: Order) -> Renamed:
    return Renamed((), op.options | {"axis": order[op.options["axis"] % len(order)]}, order)


def _paddings_renamed(graph: Graph, op: Op, order: Order) -> Renamed | None:
    return by_axis(graph, op, order, 1)


register(
    Operator(
        kind="CONCATENATION",
        options=Options("ConcatenationOptions", 10, {"axis": Field(0), **options.activation(1)}),
        required=1,
        maps=None,
        weights=None,
        lower=concatenation,
        needs=moves_needs,
        results=None,
        evaluate=_joined,
        keeps_bytes=_same_shape,
        renamed=_axis_renamed,
        channels=Channels.JOINED,
        traits=Trait.NONE,
        row=Row(
            "`concatenation_s8`",
            "any axis, 10 inputs",
            "inputs whose scale or zero point is not the output's; a fused activation",
        ),
    )
)


def _register_pad(kind: str, required: int, evaluate: Callable[[Graph, Op], NDArray[Any]] | None) -> None:
    register(
        Operator(
            kind=kind,
            options=None,
            required=required,
            maps=1,
            weights=None,
            lower=pad,
            needs=moves_needs,
            results=None,
            evaluate=evaluate,
            keeps_bytes=_same_shape,
            renamed=_paddings_renamed,
            channels=Channels.KEPT,
            traits=Trait.PADS,
            row=PAD_ROW,
        )
    )


PAD_ROW = Row("`pad_s8`", "up to 5-D", "a padding value on another scale; paddings computed at run time")
_register_pad("PAD", 2, _padded)
_register_pad("PADV2", 3, None)
register(
    Operator(
        kind="RESIZE_NEAREST_NEIGHBOR",
        options=Options(
            "ResizeNearestNeighborOptions", 74, {"align_corners": Field(0, "?"), "half_pixel_centers": Field(1, "?")}
        ),
        required=2,
        maps=1,
        weights=None,
        lower=resize_nearest_neighbor,
        needs=moves_needs,
        results=None,
        evaluate=None,
        keeps_bytes=_same_shape,
        renamed=None,
        channels=Channels.KEPT,
        traits=Trait.NONE,
        row=Row(
            "`resize_nearest_neighbor_s8`",
            "half-pixel centres, aligned corners or neither; constant size, up to 32767",
            "a size computed at run time",
        ),
    )
)
