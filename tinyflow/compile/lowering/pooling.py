"""AVERAGE_POOL_2D, MAX_POOL_2D, MEAN, SOFTMAX: reductions."""

import math

from tinyflow.compile.fixedpoint import input_radius, quantize_multiplier
from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.step import MAX_RANK, Step, activation_range, int8, integers, left_padded, need, strides
from tinyflow.compile.needs import Needs


def pool_2d_needs(graph: Graph, op: Op) -> Needs:
    return Needs()


def mean_needs(graph: Graph, op: Op) -> Needs:
    return Needs()


def pool_2d(graph: Graph, op: Op) -> Step:
    (input_scale, input_zero), (scale, zero) = int8(graph, op, op.inputs[0]), int8(graph, op, op.outputs[0])
    need(
        abs(float(input_scale - scale)) <= 1e-6 and input_zero == zero,
        graph,
        op,
        f"input ({input_scale:g}, {input_zero}) and output ({scale:g}, {zero}) differ in scale or zero point",
    )
    source, output = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
    need(source[3] == output[3] and source[0] == output[0], graph, op, f"{list(source)} -> {list(output)} changes batch or channels")
    options = op.options
    fields = {
        "batches": source[0],
        "channels": source[3],
        "input_height": source[1],
        "input_width": source[2],
        "output_height": output[1],
        "output_width": output[2],
        "filter_height": options["filter_h"],
        "filter_width": options["filter_w"],
        **{name: options[name] for name in ("stride_h", "stride_w", "pad_top", "pad_left")},
        **activation_range(graph, op),
        "counts_padding": int(options.get("counts_padding", False)),  # passes/padding.py
        "padding_value": input_zero,
    }
    return Step.of(op, f"{op.kind.lower()}_s8", "pool_2d_s8_params", fields, (op.inputs[0], op.outputs[0]))


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

    fields = {
        "kept": extents(kept),
        "kept_stride": left_padded([step[axis] for axis in kept], MAX_RANK, 0),
        "reduced": extents(reduced),
        "reduced_stride": left_padded([step[axis] for axis in reduced], MAX_RANK, 0),
        "zero_sum": input_zero * count,
        "output_offset": zero,
        "output_multiplier": multiplier,
        "output_shift": shift,
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
    need(float(scale) == 1 / 256 and zero == -128, graph, op, f"the output has scale {scale:g} and zero point {zero}; int8 SOFTMAX is 1/256 and -128")
    need(len(source.shape) >= 1 and source.shape == output.shape, graph, op, f"{list(source.shape)} -> {list(output.shape)} changes the shape")
    # Differences go to Q5.26; the sum of exponentials to Q12.19, so a row holds less than 2**12 of them.
    real = min(op.options["beta"] * float(input_scale) * (1 << 26), (1 << 31) - 1.0)
    need(real > 1 and source.shape[-1] < 4096, graph, op, f"beta {op.options['beta']:g}, input scale {input_scale:g}, {source.shape[-1]} classes")
    multiplier, shift = quantize_multiplier(real)
    fields = {
        "rows": source.elements // source.shape[-1],
        "depth": source.shape[-1],
        "input_multiplier": multiplier,
        "input_left_shift": shift,
        "difference_min": -input_radius(5, shift),
    }
    return Step.of(op, "softmax_s8", "softmax_s8_params", fields, (op.inputs[0], op.outputs[0]))
