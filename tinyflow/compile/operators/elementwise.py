"""ADD, SUB, MUL: element by element of two operands, which may be broadcast."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyflow.compile.fixedpoint import quantize_multiplier, requantize_all
from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.linear import VALUES, linear
from tinyflow.compile.lowering.step import Step, activation_range, int8, left_padded, need, strides
from tinyflow.compile.needs import NHWC, SAME, Needs
from tinyflow.compile.operators import axes, options
from tinyflow.compile.operators.registry import Channels, Operator, Row, Trait, register
from tinyflow.compile.schema import Options


def elementwise_needs(graph: Graph, op: Op) -> Needs:
    """Element i of the operands is read before element i of the result is written; all of one shape: any layout."""
    output = graph.tensor(op.outputs[0])
    tensors = [graph.tensor(index) for index in op.inputs]
    alike = all(tensor.shape == output.shape and not tensor.constant for tensor in tensors)
    over = tuple(
        position
        for position, tensor in enumerate(tensors)
        if tensor.bytes == output.bytes and tensor.dtype == output.dtype
    )
    return Needs(SAME if alike else NHWC, in_place=over)


def _broadcast(graph: Graph, op: Op) -> dict[str, tuple[int, ...]]:
    """Output shape and the strides of both inputs over it, merged into one axis where nothing is broadcast."""
    first, second, output = (graph.tensor(index).shape for index in (*op.inputs, op.outputs[0]))
    if math.prod(first) == math.prod(second) == math.prod(output):
        first = second = output = (math.prod(output),)
    need(
        max(len(first), len(second), len(output)) <= 4,
        graph,
        op,
        f"broadcasts {list(first)} with {list(second)}; at most 4 axes are supported",
        "reshape to 4-D first",
    )
    shapes = [left_padded(shape, 4, 1) for shape in (first, second, output)]
    for axis in range(4):
        sizes = {shapes[0][axis], shapes[1][axis]}
        need(
            max(sizes) == shapes[2][axis] and sizes <= {1, shapes[2][axis]},
            graph,
            op,
            f"{list(first)} and {list(second)} do not broadcast to {list(output)}",
        )
    steps = [tuple(0 if size == 1 else step for size, step in zip(shape, strides(shape))) for shape in shapes[:2]]
    return {"shape": shapes[2], "stride1": steps[0], "stride2": steps[1]}


def add(graph: Graph, op: Op) -> Step:
    (scale1, zero1), (scale2, zero2), (scale, zero) = (int8(graph, op, index) for index in (*op.inputs, op.outputs[0]))
    twice = 2 * max(float(scale1), float(scale2))
    real = (float(scale1) / twice, float(scale2) / twice, twice / ((1 << 20) * float(scale)))
    quantized = [quantize_multiplier(value) for value in real]
    need(
        real[2] < 1 and all(shift <= 0 for _, shift in quantized),
        graph,
        op,
        f"the output scale {scale:g} is too small for inputs of scale {scale1:g} and {scale2:g}",
    )
    at, limits = _broadcast(graph, op), activation_range(graph, op)
    if at["stride1"] == at["stride2"] == (0, 0, 0, 1) and not graph.reference:
        sign = 1 if op.kind == "ADD" else -1
        left, right = (
            requantize_all((VALUES - offset) << 20, *quant) for offset, quant in zip((zero1, zero2), quantized)
        )
        total = requantize_all(left[:, None] + sign * right, *quantized[2]) + zero
        found = linear(
            np.clip(total, limits["activation_min"], limits["activation_max"]),
            (float(scale1) / float(scale), sign * float(scale2) / float(scale)),
        )
        if found is not None:
            (weight1, weight2), bias = found
            fields = {
                "elements": at["shape"][3],
                "weight1": weight1,
                "weight2": weight2,
                "bias": bias,
                **bounds(limits),
            }
            return Step.of(op, "weighted_sum_s8", "weighted_sum_s8_params", fields, (*op.inputs, op.outputs[0]))
    exact: dict[str, Any] = {
        "at": at,
        "offset1": -zero1,
        "offset2": -zero2,
        "output_offset": zero,
        "multiplier1": quantized[0][0],
        "multiplier2": quantized[1][0],
        "output_multiplier": quantized[2][0],
        "shift1": quantized[0][1],
        "shift2": quantized[1][1],
        "output_shift": quantized[2][1],
        **limits,
    }
    kernel = "add_s8" if op.kind == "ADD" else "sub_s8"
    return Step.of(op, kernel, "add_s8_params", exact, (*op.inputs, op.outputs[0]))


def mul(graph: Graph, op: Op) -> Step:
    (scale1, zero1), (scale2, zero2), (scale, zero) = (int8(graph, op, index) for index in (*op.inputs, op.outputs[0]))
    multiplier, shift = quantize_multiplier(float(scale1) * float(scale2) / float(scale))
    fields = {
        "at": _broadcast(graph, op),
        "offset1": -zero1,
        "offset2": -zero2,
        "output_offset": zero,
        "output_multiplier": multiplier,
        "output_shift": shift,
        **activation_range(graph, op),
    }
    return Step.of(op, "mul_s8", "mul_s8_params", fields, (*op.inputs, op.outputs[0]))


def bounds(limits: dict[str, int]) -> dict[str, int]:
    """Whether a kernel that saturates to int8 must clamp besides, and to what."""
    return {"bounded": int(limits["activation_min"] > -128 or limits["activation_max"] < 127), **limits}


def _table(name: str, number: int) -> Options:
    return Options(name, number, options.activation(0))


def _register(kind: str, table: Options, lower: Callable[[Graph, Op], Step], row: Row) -> None:
    register(
        Operator(
            kind=kind,
            options=table,
            required=2,
            maps=None,
            weights=None,
            lower=lower,
            needs=elementwise_needs,
            results=None,
            evaluate=None,
            keeps_bytes=None,
            renamed=axes.one_by_one,
            channels=Channels.KEPT,
            traits=Trait.FUSES_ACTIVATION,
            row=row,
        )
    )


_register(
    "ADD",
    _table("AddOptions", 11),
    add,
    Row(
        "`weighted_sum_s8` (equal shapes), `add_s8`",
        "broadcast up to 4-D, constant operands, in place",
        "an output scale below 2^-19 of the larger input scale",
    ),
)
_register(
    "SUB",
    _table("SubOptions", 28),
    add,
    Row("`weighted_sum_s8` (equal shapes), `sub_s8`", "as ADD", "as ADD"),
)
_register("MUL", _table("MulOptions", 21), mul, Row("`mul_s8`", "as ADD"))
