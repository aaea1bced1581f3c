"""AVERAGE_POOL_2D, MAX_POOL_2D, MEAN, SOFTMAX: reductions."""

import math

from tinyflow.compile.fixedpoint import input_radius, quantize_multiplier
from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.step import (
    MAX_RANK,
    Call,
    Step,
    activation_range,
    clamped,
    int8,
    integers,
    left_padded,
    need,
    strides,
)
from tinyflow.compile.needs import FREE, NHWC, SAME, Needs

AVERAGE_BYTES = 12  # of an "average" of firmware/kernels/average.h
LARGEST_WINDOW = 180  # AVERAGE_LARGEST of firmware/kernels/average.h


def pool_2d_needs(graph: Graph, op: Op) -> Needs:
    """Either layout; planes in place, with a padded copy of one in scratch."""
    if whole_image(graph, op):
        return Needs(FREE)
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    if not _planes(graph, op):
        return Needs(SAME if _window(op) <= LARGEST_WINDOW else NHWC)
    scratch = _padded(graph, op)[1] + (
        AVERAGE_BYTES * (op.options["filter_h"] + 1) * output.shape[2] if op.kind == "AVERAGE_POOL_2D" else 0
    )
    return Needs(SAME, scratch, (0,) if output.elements <= source.elements else ())


def mean_needs(graph: Graph, op: Op) -> Needs:
    return Needs(FREE if _over_pixels(graph, op) else NHWC)


def _window(op: Op) -> int:
    return op.options["filter_h"] * op.options["filter_w"]


def whole_image(graph: Graph, op: Op) -> bool:
    """Whether an average pool is one mean of all pixels."""
    (batch, h, w, _), output, options = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape, op.options
    covers = (options["filter_h"], options["filter_w"], options["pad_top"], options["pad_left"]) == (
        h,
        w,
        0,
        0,
    ) and output[1:3] == (1, 1)
    return op.kind == "AVERAGE_POOL_2D" and batch == 1 and covers and not graph.reference


def _over_pixels(graph: Graph, op: Op) -> bool:
    """Whether a MEAN is over height and width of one image."""
    source, axes = graph.tensor(op.inputs[0]), graph.tensor(op.inputs[1])
    if len(source.shape) != 4 or source.shape[0] != 1 or not axes.constant or graph.reference:
        return False
    return {int(axis) % 4 for axis in axes.data.reshape(-1) if -4 <= axis < 4} == {1, 2}


def _planes(graph: Graph, op: Op) -> bool:
    """Whether the planar kernel computes a pool: of planes, and of one channel, which is a plane in either layout."""
    source = graph.tensor(op.inputs[0])
    return (
        (source.planar or source.shape[3] == 1)
        and source.shape[0] == 1
        and _window(op) <= LARGEST_WINDOW
        and not graph.reference
    )


def _padded(graph: Graph, op: Op) -> tuple[int, int]:
    """(row, whole) bytes of a padded plane; three more than the last window may be read."""
    (_, h, w, _), (_, out_h, out_w, _), options = (
        graph.tensor(op.inputs[0]).shape,
        graph.tensor(op.outputs[0]).shape,
        op.options,
    )
    height = max(options["pad_top"] + h, (out_h - 1) * options["stride_h"] + options["filter_h"])
    pitch = max(options["pad_left"] + w, (out_w - 1) * options["stride_w"] + options["filter_w"])
    return pitch, height * pitch + 3


def pool_2d(graph: Graph, op: Op) -> Step:
    (input_scale, input_zero), (scale, zero) = int8(graph, op, op.inputs[0]), int8(graph, op, op.outputs[0])
    need(
        abs(float(input_scale - scale)) <= 1e-6 and input_zero == zero,
        graph,
        op,
        f"input ({input_scale:g}, {input_zero}) and output ({scale:g}, {zero}) differ in scale or zero point",
    )
    source, output = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
    need(
        source[3] == output[3] and source[0] == output[0],
        graph,
        op,
        f"{list(source)} -> {list(output)} changes batch or channels",
    )
    options, tensors, kind = op.options, (op.inputs[0], op.outputs[0]), op.kind.lower()
    if whole_image(graph, op):
        fields = _global_fields(graph, op) | {"rescales": 0}
        return Step(op, (Call("global_mean_s8", "global_mean_s8_params", fields, tensors), *clamped(graph, op)))
    fields = {
        "channels": source[3],
        "input_height": source[1],
        "input_width": source[2],
        "output_height": output[1],
        "output_width": output[2],
        "filter_height": options["filter_h"],
        "filter_width": options["filter_w"],
        **{name: options[name] for name in ("stride_h", "stride_w", "pad_top", "pad_left")},
        "counts_padding": int(options.get("counts_padding", False)),  # passes/padding.py
        "padding_value": input_zero,
    }
    if _planes(graph, op):
        pitch, padded = _padded(graph, op)
        fields |= {"pitch": pitch, "padded_bytes": padded}
        pool = Call(kind.replace("_2d", "_planar") + "_s8", "pool_planar_s8_params", fields, tensors, scratch=True)
        return Step(op, (pool, *clamped(graph, op)))
    fields |= {"batches": source[0], **activation_range(graph, op)}
    return Step.of(op, f"{kind}_s8", "pool_2d_s8_params", fields, tensors)


def _global_fields(graph: Graph, op: Op) -> dict[str, int]:
    source = graph.tensor(op.inputs[0])
    return {"channels": source.shape[3], "pixels": source.shape[1] * source.shape[2], "planar": int(source.planar)}


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
        fields = _global_fields(graph, op) | {"rescales": 1, **rescaling}
        return Step.of(op, "global_mean_s8", "global_mean_s8_params", fields, (op.inputs[0], op.outputs[0]))
    fields = {
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
