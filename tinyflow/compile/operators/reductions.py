"""MEAN, SOFTMAX: along axes."""

import math
from typing import Any

import numpy as np

from tinyflow.compile.fixedpoint import input_radius, quantize_multiplier
from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.step import MAX_RANK, Step, int8, integers, left_padded, need, stored_integers, strides
from tinyflow.compile.needs import FREE, NHWC, Needs, nothing
from tinyflow.compile.operators.axes import Order, Renamed
from tinyflow.compile.operators.pooling import global_fields
from tinyflow.compile.operators.registry import Channels, Operator, Row, Trait, register
from tinyflow.compile.schema import Field, Options


def mean_needs(graph: Graph, op: Op) -> Needs:
    return Needs(FREE if _over_pixels(graph, op) else NHWC)


def _over_pixels(graph: Graph, op: Op) -> bool:
    """Whether a MEAN is over height and width of one image."""
    source, axes = graph.tensor(op.inputs[0]), graph.tensor(op.inputs[1])
    if len(source.shape) != 4 or source.shape[0] != 1 or not axes.constant or graph.reference:
        return False
    return {int(axis) % 4 for axis in axes.values.reshape(-1) if -4 <= axis < 4} == {1, 2}


def mean(graph: Graph, op: Op) -> Step:
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    (input_scale, input_zero), (scale, zero) = int8(graph, op, op.inputs[0]), int8(graph, op, op.outputs[0])
    rank = len(source.shape)
    need(rank <= MAX_RANK, graph, op, f"the input has {rank} axes; at most {MAX_RANK} are supported", "reshape first")
    axes = integers(graph, op, 1, "axis")
    need(all(-rank <= axis < rank for axis in axes), graph, op, f"axes {axes} of a tensor with {rank}")
    reduced = sorted({axis % rank for axis in axes})
    kept = [axis for axis in range(rank) if axis not in reduced]
    need(
        output.elements == math.prod(source.shape[axis] for axis in kept),
        graph,
        op,
        f"the mean over axes {reduced} of {list(source.shape)} is not {list(output.shape)}",
    )
    step = strides(source.shape)
    count = math.prod(source.shape[axis] for axis in reduced)
    multiplier, shift = _mean_multiplier(float(input_scale) / float(scale), count)

    def extents(which: list[int]) -> tuple[int, ...]:
        return left_padded([source.shape[axis] for axis in which], MAX_RANK, 1)

    rescaling = {
        "zero_sum": input_zero * count,
        "output_offset": zero,
        "output_multiplier": multiplier,
        "output_shift": shift,
    }
    if _over_pixels(graph, op):
        whole = global_fields(graph, op) | {"rescales": 1, **rescaling}
        return Step.of(op, "global_mean_s8", "global_mean_s8_params", whole, (op.inputs[0], op.outputs[0]))
    fields: dict[str, Any] = {
        "kept": extents(kept),
        "kept_stride": left_padded([step[axis] for axis in kept], MAX_RANK, 0),
        "reduced": extents(reduced),
        "reduced_stride": left_padded([step[axis] for axis in reduced], MAX_RANK, 0),
        **rescaling,
    }
    return Step.of(op, "mean_s8", "mean_s8_params", fields, (op.inputs[0], op.outputs[0]))


def _mean_multiplier(real: float, count: int) -> tuple[int, int]:
    """1/count folded into the multiplier, keeping it above 2**30 where the shift allows."""
    multiplier, shift = quantize_multiplier(real)
    extra = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << extra) // count, shift - extra


def softmax(graph: Graph, op: Op) -> Step:
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    input_scale, _ = int8(graph, op, op.inputs[0])
    scale, zero = int8(graph, op, op.outputs[0])
    need(
        float(scale) == 1 / 256 and zero == -128,
        graph,
        op,
        f"the output has scale {scale:g} and zero point {zero}; int8 SOFTMAX is 1/256 and -128",
    )
    need(
        len(source.shape) >= 1 and source.shape == output.shape,
        graph,
        op,
        f"{list(source.shape)} -> {list(output.shape)} changes the shape",
    )
    # Differences go to Q5.26; the sum of exponentials to Q12.19, so a row holds less than 2**12 of them.
    real = min(op.options["beta"] * float(input_scale) * (1 << 26), (1 << 31) - 1.0)
    need(
        real > 1 and source.shape[-1] < 4096,
        graph,
        op,
        f"beta {op.options['beta']:g}, input scale {input_scale:g}, {source.shape[-1]} classes",
    )
    multiplier, shift = quantize_multiplier(real)
    fields = {
        "rows": source.elements // source.shape[-1],
        "depth": source.shape[-1],
        "input_multiplier": multiplier,
        "input_left_shift": shift,
        "difference_min": -input_radius(5, shift),
    }
    return Step.of(op, "softmax_s8", "softmax_s8_params", fields, (op.inputs[0], op.outputs[0]))


def _reduces_nothing(graph: Graph, op: Op) -> bool:
    """As many elements after it: the axes have size 1."""
    alike = graph.tensor(op.inputs[0]).alike(graph.tensor(op.outputs[0]))
    return alike and bool(stored_integers(graph, op, 1))


def _mean_renamed(graph: Graph, op: Op, order: Order) -> Renamed | None:
    if not all(graph.tensor(index).constant for index in op.inputs[1:]):
        return None
    reduced = {axis % len(order) for axis in stored_integers(graph, op, 1)}
    axes = ((op.inputs[1], np.array(sorted(order[axis] for axis in reduced), np.int32)),)
    if len(graph.tensor(op.outputs[0]).shape) == len(order):
        return Renamed(axes, op.options, order)
    kept = [order[axis] for axis in range(len(order)) if axis not in reduced]
    return Renamed(axes, op.options, tuple(sorted(kept).index(axis) for axis in kept))


def _softmax_renamed(graph: Graph, op: Op, order: Order) -> Renamed | None:
    """Along the last axis, which must stay where it is."""
    return Renamed((), op.options, order) if order[-1] == len(order) - 1 else None


register(
    Operator(
        kind="MEAN",
        options=Options("ReducerOptions", 27, {"keep_dims": Field(0, "?")}),
        required=2,
        maps=1,
        weights=None,
        lower=mean,
        needs=mean_needs,
        results=None,
        evaluate=None,
        keeps_bytes=_reduces_nothing,
        renamed=_mean_renamed,
        channels=Channels.KEPT,
        traits=Trait.NONE,
        row=Row(
            "`global_mean_s8` (over height and width of one image), `mean_s8`",
            "any axes, up to 5-D, rescaling",
            "axes computed at run time",
        ),
    )
)
register(
    Operator(
        kind="SOFTMAX",
        options=Options("SoftmaxOptions", 9, {"beta": Field(0, "f")}),
        required=1,
        maps=1,
        weights=None,
        lower=softmax,
        needs=nothing,
        results=None,
        evaluate=None,
        keeps_bytes=None,
        renamed=_softmax_renamed,
        channels=Channels.MIXED,
        traits=Trait.NONE,
        row=Row("`softmax_s8`", "last axis, beta", "an output other than scale 1/256, zero point -128"),
    )
)
