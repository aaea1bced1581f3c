"""ADD, SUB, MUL, the table activations, QUANTIZE and DEQUANTIZE."""

import math

import numpy as np

from tinyflow.compile import fixedpoint
from tinyflow.compile.fixedpoint import clamp, quantize_multiplier, requantize, round_half_away
from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.step import Step, activation_range, int8, left_padded, need, strides
from tinyflow.compile.needs import NHWC, SAME, Needs


def needs(graph: Graph, op: Op) -> Needs:
    """Element i of the operands is read before element i of the result is written; all of one shape: any layout."""
    output = graph.tensor(op.outputs[0])
    tensors = [graph.tensor(index) for index in op.inputs]
    alike = all(tensor.shape == output.shape and not tensor.constant for tensor in tensors)
    over = tuple(position for position, tensor in enumerate(tensors) if tensor.bytes == output.bytes and tensor.dtype == output.dtype)
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
    fields = {
        "at": _broadcast(graph, op),
        "offset1": -zero1,
        "offset2": -zero2,
        "output_offset": zero,
        "multiplier1": quantized[0][0],
        "multiplier2": quantized[1][0],
        "output_multiplier": quantized[2][0],
        "shift1": quantized[0][1],
        "shift2": quantized[1][1],
        "output_shift": quantized[2][1],
        **activation_range(graph, op),
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
    need(source.elements == output.elements, graph, op, f"{list(source.shape)} -> {list(output.shape)} changes the number of elements")
    return output.elements


def _lookup(graph: Graph, op: Op, table: np.ndarray) -> Step:
    fields = {"table": table, "elements": _same_size(graph, op)}
    return Step.of(op, "lookup_s8", "lookup_s8_params", fields, (op.inputs[0], op.outputs[0]))


def relu(graph: Graph, op: Op) -> Step:
    (input_scale, input_zero), (scale, zero) = int8(graph, op, op.inputs[0]), int8(graph, op, op.outputs[0])
    multiplier, shift = quantize_multiplier(float(input_scale) / float(scale))
    low = max(-128, zero)
    return _lookup(
        graph, op, fixedpoint.table(lambda q: clamp(requantize(q - input_zero, multiplier, shift) + zero, low, 127))
    )


def relu6(graph: Graph, op: Op) -> Step:
    """TFLM clamps on the input's scale and does not rescale, whatever the output's scale says."""
    scale, zero = int8(graph, op, op.inputs[0])
    int8(graph, op, op.outputs[0])
    six = zero + round_half_away(float(np.float32(6) / scale))
    need(six >= -128, graph, op, f"6.0 is not an int8 at scale {scale:g}")
    return _lookup(graph, op, fixedpoint.table(lambda q: clamp(q, zero, min(six, 127))))


def logistic(graph: Graph, op: Op) -> Step:
    scale, zero = int8(graph, op, op.inputs[0])
    need(int8(graph, op, op.outputs[0])[1] == -128, graph, op, "the output's zero point is not -128")
    return _lookup(graph, op, fixedpoint.logistic_table(scale, zero))


def hard_swish(graph: Graph, op: Op) -> Step:
    source, output = int8(graph, op, op.inputs[0]), int8(graph, op, op.outputs[0])
    exponent = fixedpoint.hard_swish_multipliers(source[0], output[0])[1]
    need(exponent <= 0, graph, op, f"the output scale {output[0]:g} is too small for an input of scale {source[0]:g}")
    return _lookup(graph, op, fixedpoint.hard_swish_table(*source, *output))


def quantize(graph: Graph, op: Op) -> Step:
    elements = _same_size(graph, op)
    scale, zero = int8(graph, op, op.outputs[0])
    if graph.tensor(op.inputs[0]).dtype == "float32":
        fields = {"elements": elements, "scale": float(scale), "zero_point": zero}
        return Step.of(op, "quantize_f32_s8", "affine_params", fields, (op.inputs[0], op.outputs[0]))
    input_scale, input_zero = int8(graph, op, op.inputs[0])
    multiplier, shift = quantize_multiplier(float(input_scale) / float(scale))
    fields = {
        "elements": elements,
        "input_offset": -input_zero,
        "output_offset": zero,
        "output_multiplier": multiplier,
        "output_shift": shift,
    }
    return Step.of(op, "requantize_s8", "requantize_s8_params", fields, (op.inputs[0], op.outputs[0]))


def dequantize(graph: Graph, op: Op) -> Step:
    output = graph.tensor(op.outputs[0])
    need(output.dtype == "float32", graph, op, f"the output is {output.dtype}, not float32")
    scale, zero = int8(graph, op, op.inputs[0])
    fields = {"elements": _same_size(graph, op), "scale": float(scale), "zero_point": zero}
    return Step.of(op, "dequantize_s8_f32", "affine_params", fields, (op.inputs[0], op.outputs[0]))
