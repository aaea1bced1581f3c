"""ADD, SUB, MUL, the table activations, QUANTIZE and DEQUANTIZE."""

import math

import numpy as np

from tinyflow.compile import fixedpoint
from tinyflow.compile.fixedpoint import quantize_multiplier, requantize_all, round_half_away
from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.linear import VALUES, linear
from tinyflow.compile.lowering.step import Step, activation_range, int8, left_padded, need, strides
from tinyflow.compile.needs import NHWC, SAME, Needs

Affine = tuple[np.float32, int]  # scale and zero point of an int8 tensor


def needs(graph: Graph, op: Op) -> Needs:
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
            np.clip(total, *limits.values()), (float(scale1) / float(scale), sign * float(scale2) / float(scale))
        )
        if found is not None:
            (weight1, weight2), bias = found
            fields = {
                "elements": at["shape"][3],
                "weight1": weight1,
                "weight2": weight2,
                "bias": bias,
                **_bounds(limits),
            }
            return Step.of(op, "weighted_sum_s8", "weighted_sum_s8_params", fields, (*op.inputs, op.outputs[0]))
    fields = {
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
    return Step.of(op, kernel, "add_s8_params", fields, (*op.inputs, op.outputs[0]))


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


def _same_size(graph: Graph, op: Op) -> int:
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    need(
        source.elements == output.elements,
        graph,
        op,
        f"{list(source.shape)} -> {list(output.shape)} changes the number of elements",
    )
    return output.elements


def _bounds(limits: dict[str, int]) -> dict[str, int]:
    """Whether a kernel that saturates to int8 must clamp besides, and to what."""
    return {"bounded": int(limits["activation_min"] > -128 or limits["activation_max"] < 127), **limits}


def results(graph: Graph, op: Op) -> np.ndarray:
    """int8 (256,): what a function of one value, RELU, RELU6, LOGISTIC, HARD_SWISH or QUANTIZE,
    makes of -128 to 127.
    """
    return RESULTS[op.kind](int8(graph, op, op.inputs[0]), int8(graph, op, op.outputs[0]), graph, op)


def unary(graph: Graph, op: Op) -> Step:
    """A function of one value: as a clamp, as a linear function, or by its table, whichever is cheapest and equal for
    all 256.
    """
    values, size, tensors = results(graph, op), _same_size(graph, op), (op.inputs[0], op.outputs[0])
    limits = {"activation_min": int(values.min()), "activation_max": int(values.max())}
    if not graph.reference:
        if np.array_equal(values, np.clip(VALUES, *limits.values())):
            return Step.of(op, "clamp_s8", "clamp_s8_params", {"elements": size, **limits}, tensors)
        factor = float(int8(graph, op, op.inputs[0])[0]) / float(int8(graph, op, op.outputs[0])[0])
        found = linear(values.astype(np.int64), [factor])
        if found is not None:
            (weight,), bias = found
            return Step.of(
                op,
                "rescale_s8",
                "rescale_s8_params",
                {"elements": size, "weight": weight, "bias": bias, **_bounds(limits)},
                tensors,
            )
    fields = {"table": np.roll(values, 128), "elements": size}  # from 0 to 127, then from -128: the byte is the index
    return Step.of(op, "lookup_s8", "lookup_s8_params", fields, tensors)


def _rescale(source: Affine, output: Affine, graph: Graph, op: Op) -> np.ndarray:
    """QUANTIZE, and RELU, which ends at the zero point besides."""
    (input_scale, input_zero), (scale, zero) = source, output
    rescaled = requantize_all(VALUES - input_zero, *quantize_multiplier(float(input_scale) / float(scale))) + zero
    return np.clip(rescaled, zero if op.kind == "RELU" else -128, 127).astype(np.int8)


def _relu6(source: Affine, output: Affine, graph: Graph, op: Op) -> np.ndarray:
    """TFLM clamps on the input's scale and does not rescale, whatever the output's scale says."""
    scale, zero = source
    six = zero + round_half_away(float(np.float32(6) / scale))
    need(six >= -128, graph, op, f"6.0 is not an int8 at scale {scale:g}")
    return np.clip(VALUES, zero, min(six, 127)).astype(np.int8)


def _logistic(source: Affine, output: Affine, graph: Graph, op: Op) -> np.ndarray:
    need(output[1] == -128, graph, op, "the output's zero point is not -128")
    return fixedpoint.logistic_table(*source)


def _hard_swish(source: Affine, output: Affine, graph: Graph, op: Op) -> np.ndarray:
    exponent = fixedpoint.hard_swish_multipliers(source[0], output[0])[1]
    need(exponent <= 0, graph, op, f"the output scale {output[0]:g} is too small for an input of scale {source[0]:g}")
    return fixedpoint.hard_swish_table(*source, *output)


RESULTS = {"HARD_SWISH": _hard_swish, "LOGISTIC": _logistic, "QUANTIZE": _rescale, "RELU": _rescale, "RELU6": _relu6}


def quantize(graph: Graph, op: Op) -> Step:
    if graph.tensor(op.inputs[0]).dtype != "float32":
        return unary(graph, op)
    scale, zero = int8(graph, op, op.outputs[0])
    fields = {"elements": _same_size(graph, op), "scale": float(scale), "zero_point": zero}
    return Step.of(op, "quantize_f32_s8", "affine_params", fields, (op.inputs[0], op.outputs[0]))


def dequantize(graph: Graph, op: Op) -> Step:
    output = graph.tensor(op.outputs[0])
    need(output.dtype == "float32", graph, op, f"the output is {output.dtype}, not float32")
    scale, zero = int8(graph, op, op.inputs[0])
    fields = {"elements": _same_size(graph, op), "scale": float(scale), "zero_point": zero}
    return Step.of(op, "dequantize_s8_f32", "affine_params", fields, (op.inputs[0], op.outputs[0]))
