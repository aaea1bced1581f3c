"""RELU, RELU6, LEAKY_RELU, LOGISTIC, TANH, HARD_SWISH: functions of one value, whose 256 results say everything.

To add one: its results from the integer definition of TFLM's reference kernel, and ``_register``.
"""

import math
from collections.abc import Callable

import numpy as np

from tinyflow.compile import fixedpoint
from tinyflow.compile.fixedpoint import Table, quantize_multiplier, requantize_all, round_half_away
from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.linear import VALUES, linear
from tinyflow.compile.lowering.step import Step, int8, need, same_size
from tinyflow.compile.operators import axes
from tinyflow.compile.operators.elementwise import bounds, elementwise_needs
from tinyflow.compile.operators.registry import OPERATORS, Channels, Operator, Row, Trait, register
from tinyflow.compile.schema import Field, Options
from tinyflow.errors import TinyflowError


def unary(graph: Graph, op: Op) -> Step:
    """A function of one value: as a clamp, as a linear function, or by its table, whichever is cheapest and equal for
    all 256.
    """
    results = OPERATORS[op.kind].results
    assert results is not None
    values, size, tensors = results(graph, op), same_size(graph, op), (op.inputs[0], op.outputs[0])
    limits = {"activation_min": int(values.min()), "activation_max": int(values.max())}
    if not graph.reference:
        if np.array_equal(values, np.clip(VALUES, limits["activation_min"], limits["activation_max"])):
            return Step.of(op, "clamp_s8", "clamp_s8_params", {"elements": size, **limits}, tensors)
        factor = float(int8(graph, op, op.inputs[0])[0]) / float(int8(graph, op, op.outputs[0])[0])
        found = linear(values.astype(np.int64), [factor])
        if found is not None:
            (weight,), bias = found
            return Step.of(
                op,
                "rescale_s8",
                "rescale_s8_params",
                {"elements": size, "weight": weight, "bias": bias, **bounds(limits)},
                tensors,
            )
    fields = {"table": np.roll(values, 128), "elements": size}  # from 0 to 127, then from -128: the byte is the index
    return Step.of(op, "lookup_s8", "lookup_s8_params", fields, tensors)


def rescaled(graph: Graph, op: Op, low: int = -128) -> Table:
    """From the input's scale to the output's: what QUANTIZE does."""
    (input_scale, input_zero), (scale, zero) = int8(graph, op, op.inputs[0]), int8(graph, op, op.outputs[0])
    values = requantize_all(VALUES - input_zero, *quantize_multiplier(float(input_scale) / float(scale))) + zero
    return np.clip(values, low, 127).astype(np.int8)


def unchanged(graph: Graph, op: Op) -> bool:
    """Whether no int8 feels it."""
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    if source.quantization is None or not source.alike(output):
        return False
    results = OPERATORS[op.kind].results
    try:
        return results is not None and np.array_equal(results(graph, op), VALUES)
    except TinyflowError:
        return False  # the lowering refuses it and says why


def _relu(graph: Graph, op: Op) -> Table:
    """Rescales, and ends at the zero point."""
    return rescaled(graph, op, int8(graph, op, op.outputs[0])[1])


def _relu6(graph: Graph, op: Op) -> Table:
    """TFLM clamps on the input's scale and does not rescale, whatever the output's scale says."""
    (scale, zero), _ = int8(graph, op, op.inputs[0]), int8(graph, op, op.outputs[0])
    six = zero + round_half_away(float(np.float32(6) / scale))
    need(six >= -128, graph, op, f"6.0 is not an int8 at scale {scale:g}")
    return np.clip(VALUES, zero, min(six, 127)).astype(np.int8)


def _leaky_relu(graph: Graph, op: Op) -> Table:
    """RELU's multiplier, and one with ``alpha`` below the zero point; alpha may be negative, or above 1."""
    (input_scale, input_zero), (scale, zero) = int8(graph, op, op.inputs[0]), int8(graph, op, op.outputs[0])
    alpha, values = op.options["alpha"], VALUES - input_zero
    need(math.isfinite(alpha), graph, op, f"alpha is {alpha}", "export it again")
    identity = quantize_multiplier(float(input_scale) / float(scale))
    below = quantize_multiplier(float(input_scale) * abs(alpha) / float(scale))
    need(
        max(identity[1], below[1]) <= 30,
        graph,
        op,
        f"the output scale {scale:g} is too small for an input of scale {input_scale:g} and alpha {alpha:g}",
        "TFLM's arithmetic overflows there: convert the model again",
    )
    # The sign comes last: TFLM rounds halves of two negative factors as it rounds those of one.
    sign = -1 if alpha < 0 else 1
    results = np.where(values >= 0, requantize_all(values, *identity), sign * requantize_all(values, *below)) + zero
    return np.clip(results, -128, 127).astype(np.int8)


def _in_range(graph: Graph, op: Op) -> tuple[np.float32, int]:
    """Scale and zero point of an input that TFLM brings to Q4.27 by a defined shift."""
    scale, zero = int8(graph, op, op.inputs[0])
    hint = "TFLM's arithmetic is undefined there: calibrate and convert the model again"
    need(2.0**-28 <= float(scale) < 2.0**35, graph, op, f"the input scale {scale:g}", hint)
    return scale, zero


def _logistic(graph: Graph, op: Op) -> Table:
    need(int8(graph, op, op.outputs[0])[1] == -128, graph, op, "the output's zero point is not -128")
    return fixedpoint.logistic_table(*_in_range(graph, op))


def _tanh(graph: Graph, op: Op) -> Table:
    """TFLM takes the output to have scale 1/128 and zero point 0, whatever the file says."""
    int8(graph, op, op.outputs[0])
    return fixedpoint.tanh_table(*_in_range(graph, op))


def _hard_swish(graph: Graph, op: Op) -> Table:
    source, output = int8(graph, op, op.inputs[0]), int8(graph, op, op.outputs[0])
    exponent = fixedpoint.hard_swish_multipliers(source[0], output[0])[1]
    need(exponent <= 0, graph, op, f"the output scale {output[0]:g} is too small for an input of scale {source[0]:g}")
    return fixedpoint.hard_swish_table(*source, *output)


def _register(
    kind: str,
    results: Callable[[Graph, Op], Table],
    refused: str = "",
    traits: Trait = Trait.NONE,
    table: Options | None = None,
) -> None:
    register(
        Operator(
            kind=kind,
            options=table,
            required=1,
            maps=1,
            weights=None,
            lower=unary,
            needs=elementwise_needs,
            results=results,
            evaluate=None,
            keeps_bytes=unchanged,
            renamed=axes.one_by_one,
            channels=Channels.KEPT,
            traits=traits,
            row=Row(
                "`clamp_s8`, `rescale_s8` or `lookup_s8`",
                "the first that equals the integer definition for all 256 inputs",
                refused,
            ),
        )
    )


_register("RELU", _relu, traits=Trait.ACTIVATION)
_register("RELU6", _relu6, traits=Trait.ACTIVATION)
_register("LEAKY_RELU", _leaky_relu, table=Options("LeakyReluOptions", 75, {"alpha": Field(0, "f")}))
_register("LOGISTIC", _logistic, "an output zero point other than -128")
_register("TANH", _tanh)
_register("HARD_SWISH", _hard_swish, "an output scale under 1/128 of the input's")
