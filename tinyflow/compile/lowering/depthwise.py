"""DEPTHWISE_CONV_2D: planes through a padded copy (one filter per channel), else the reference kernel."""

from dataclasses import dataclass

import numpy as np

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.requant import requant
from tinyflow.compile.lowering.step import Step, int8, need
from tinyflow.compile.lowering.weights import biases, constant_weights, geometry, offsets, per_channel
from tinyflow.compile.needs import PLANAR, Needs

TAIL = 4  # bytes that the kernels may read beyond the padded copy of a plane; its weights have as many behind them
UNROLLED = {(3, 3): "depthwise_planar_3x3_s8", (5, 5): "depthwise_planar_5x5_s8"}


@dataclass(frozen=True)
class Plane:
    """Where the pixels of a padded plane lie in scratch; fields as in depthwise_planar_s8_params."""

    phases_h: int
    phases_w: int
    row_step: int
    column_step: int
    phase_bytes: int
    padded_bytes: int
    scratch: int  # the widened weights before it included
    unrolled: bool  # whether neighbouring outputs are one tap apart

    @staticmethod
    def of(graph: Graph, op: Op) -> "Plane | None":
        """None where a column's taps would lie apart in every phase: a stride that the dilation does not divide."""
        source, output = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
        _, filter_h, filter_w, _ = graph.tensor(op.inputs[1]).shape
        at = geometry(op)
        stride_h, stride_w, dilation_h, dilation_w = (at[name] for name in ("stride_h", "stride_w", "dilation_h", "dilation_w"))
        if stride_w % dilation_w and stride_w != 1:
            return None
        width = max(at["pad_left"] + source[2], (output[2] - 1) * stride_w + (filter_w - 1) * dilation_w + 1)
        height = max(at["pad_top"] + source[1], (output[1] - 1) * stride_h + (filter_h - 1) * dilation_h + 1)
        phase = -(-width // dilation_w)
        row = phase * dilation_w
        row_step = row * (dilation_h if stride_h == 1 else stride_h)
        column_step = max(stride_w // dilation_w, 1)
        # The kernels make two rows and two columns at a time: a row of outputs and one column more than there are is read.
        padded = height * row + row_step + column_step + TAIL
        return Plane(
            phases_h=dilation_h if stride_h == 1 else 1,
            phases_w=dilation_w if stride_w == 1 else 1,
            row_step=row_step,
            column_step=column_step,
            phase_bytes=phase,
            padded_bytes=padded,
            scratch=4 * filter_h * (-(-filter_w // 4) * 2) + padded,
            unrolled=row_step == row * dilation_h and column_step == 1,
        )


def planar(graph: Graph, op: Op) -> Plane | None:
    """The padded plane of ``op`` where the planar kernels compute it; shapes decide, and quantisation where there is one."""
    source, weights = graph.tensor(op.inputs[0]), graph.tensor(op.inputs[1])
    if source.shape[0] != 1 or weights.shape[3] != source.shape[3]:
        return None
    plane = Plane.of(graph, op)
    if plane is not None and weights.quantization is not None and weights.constant:
        return plane if requant(graph, op, weights.data, 3) is not None else None
    return plane


def depthwise_conv_2d_needs(graph: Graph, op: Op) -> Needs:
    """Planes, in place: a plane of the output ends no later than that of the input if it is no larger."""
    plane = planar(graph, op)
    if plane is None:
        return Needs()
    (_, h, w, _), (_, out_h, out_w, _) = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
    return Needs(PLANAR, plane.scratch, (0,) if out_h * out_w <= h * w else ())


def depthwise_conv_2d(graph: Graph, op: Op) -> Step:
    weights = constant_weights(graph, op)
    source, output = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
    one, filter_h, filter_w, channels = weights.shape
    multiplier = channels // source[3]
    need(
        one == 1 and channels == source[3] * multiplier == output[3] and output[0] == source[0],
        graph,
        op,
        f"weights {list(weights.shape)} do not fit an input of {source[3]} channels and an output {list(output)}",
    )
    need(
        op.options["channel_multiplier"] in (0, multiplier),
        graph,
        op,
        f"the depth multiplier {op.options['channel_multiplier']} contradicts {source[3]} channels in, {channels} out",
    )
    macs = output[1] * output[2] * weights.elements
    plane = planar(graph, op)
    if plane is not None:
        return _planar_step(graph, op, weights.data, plane, macs)
    fields = {
        "weights": weights.data,
        "bias": biases(graph, op, channels),
        "quant": per_channel(graph, op, weights, 3),
        "batches": source[0],
        "input_height": source[1],
        "input_width": source[2],
        "input_channels": source[3],
        "output_height": output[1],
        "output_width": output[2],
        "channel_multiplier": multiplier,
        "filter_height": filter_h,
        "filter_width": filter_w,
        **geometry(op),
        **offsets(graph, op),
    }
    kernel = "depthwise_conv_2d_s8"
    return Step.of(op, kernel, kernel + "_params", fields, (op.inputs[0], op.outputs[0]), macs)


def _planar_step(graph: Graph, op: Op, weights: np.ndarray, plane: Plane, macs: int) -> Step:
    source, output = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
    _, filter_h, filter_w, channels = weights.shape
    at = geometry(op)
    fields = {
        "weights": np.append(np.moveaxis(weights, 3, 0).reshape(-1), np.zeros(TAIL - 1, np.int8)),
        "table": op.options.get("table"),
        "requant": requant(graph, op, weights, 3),
        "channels": channels,
        "input_height": source[1],
        "input_width": source[2],
        "output_height": output[1],
        "output_width": output[2],
        "input_row": source[2],
        "input_column": 1,
        "output_row": output[2],
        "output_column": 1,
        "filter_height": filter_h,
        "filter_width": filter_w,
        **{name: at[name] for name in ("dilation_h", "dilation_w", "pad_top", "pad_left")},
        **{name: getattr(plane, name) for name in ("phases_h", "phases_w", "row_step", "column_step", "phase_bytes", "padded_bytes")},
        "padding": op.options.get("input_zero_point", int8(graph, op, op.inputs[0])[1]),
    }
    kernel = UNROLLED.get((filter_h, filter_w), "depthwise_planar_s8") if plane.unrolled else "depthwise_planar_s8"
    return Step.of(op, kernel, "depthwise_planar_s8_params", fields, (op.inputs[0], op.outputs[0]), macs, scratch=True)
