"""DEPTHWISE_CONV_2D: planes through a padded copy (one filter per channel), else the reference kernel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.requant import requant
from tinyflow.compile.lowering.step import Call, Step, clamped, int8, need
from tinyflow.compile.lowering.weights import biases, constant_weights, geometry, offsets, operand, per_channel
from tinyflow.compile.needs import PLANAR, Needs
from tinyflow.compile.operators import options
from tinyflow.compile.operators.registry import Channels, Operator, Row, Trait, register
from tinyflow.compile.schema import Field, Options

UNROLLED = {(3, 3): "depthwise_planar_3x3_s8", (5, 5): "depthwise_planar_5x5_s8"}
STEPPING = "depthwise_planar_3x3_stride2_s8"
TAIL = 4  # bytes that a kernel may read beyond the last row


@dataclass(frozen=True)
class Plane:
    """Where the pixels of a padded plane lie in scratch; fields as in depthwise_planar_s8_params."""

    phases_w: int
    phase_bytes: int
    outputs_h: int
    outputs_w: int
    row: int
    padded_bytes: int
    kernel: str
    taps: NDArray[np.int32] | None  # for the kernel of any filter

    @staticmethod
    def of(graph: Graph, op: Op) -> "Plane":
        source, output = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
        _, filter_h, filter_w, _ = graph.tensor(op.inputs[1]).shape
        at = geometry(op)
        stride_h, stride_w, dilation_h, dilation_w = (
            at[name] for name in ("stride_h", "stride_w", "dilation_h", "dilation_w")
        )
        height = max(at["pad_top"] + source[1], (output[1] - 1) * stride_h + (filter_h - 1) * dilation_h + 1)
        width = max(at["pad_left"] + source[2], (output[2] - 1) * stride_w + (filter_w - 1) * dilation_w + 1)
        unrolled = (filter_h, filter_w) in UNROLLED and stride_h in (1, dilation_h) and stride_w in (1, dilation_w)
        stepping = (filter_h, filter_w, stride_w, dilation_h, dilation_w) == (3, 3, 2, 1, 1)
        phases = dilation_w if unrolled else 1 if stepping else stride_w
        phase = -(-width // phases)
        pitch = phase * phases
        row = pitch * (dilation_h if unrolled else stride_h)
        column = np.arange(filter_w) * dilation_w
        taps = np.arange(filter_h)[:, None] * dilation_h * pitch + column % phases * phase + column // phases
        return Plane(
            phases_w=phases,
            phase_bytes=phase,
            outputs_h=min(dilation_h, output[1]) if unrolled and stride_h == 1 else 1,
            outputs_w=min(dilation_w, output[2]) if unrolled and stride_w == 1 else 1,
            row=row,
            padded_bytes=height * pitch + row * unrolled + TAIL,  # the unrolled kernels make two rows at a time
            kernel=UNROLLED[filter_h, filter_w] if unrolled else STEPPING if stepping else "depthwise_planar_s8",
            taps=None if unrolled or stepping else taps.astype(np.int32),
        )


def planar(graph: Graph, op: Op) -> Plane | None:
    """The padded plane of ``op`` where the planar kernels compute it; shapes decide, and quantisation where there is
    one.
    """
    source, weights = graph.tensor(op.inputs[0]), graph.tensor(op.inputs[1])
    if graph.reference or source.shape[0] != 1 or weights.shape[3] != source.shape[3]:
        return None
    if weights.quantization is not None and weights.constant and requant(graph, op, weights.values, 3) is None:
        return None
    return Plane.of(graph, op)


def depthwise_conv_2d_needs(graph: Graph, op: Op) -> Needs:
    """Planes, in place: a plane of the output ends no later than that of the input if it is no larger."""
    plane = planar(graph, op)
    if plane is None:
        return Needs()
    (_, h, w, _), (_, out_h, out_w, _) = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
    return Needs(PLANAR, plane.padded_bytes, (0,) if out_h * out_w <= h * w else ())


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
        return _planar_step(graph, op, weights.values, plane, macs)
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


def _planar_step(graph: Graph, op: Op, weights: NDArray[np.int8], plane: Plane, macs: int) -> Step:
    source, output = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
    _, filter_h, filter_w, channels = weights.shape
    quant = requant(graph, op, weights, 3)
    assert quant is not None  # as planar() has asked
    rows = quant["channels"]
    fields = {
        "weights": np.append(np.moveaxis(weights, 3, 0).reshape(-1), np.int8(0)),
        "table": op.options.get("table"),
        "bias_multiplier": rows[:, :2],
        "shift": (rows[:, 3] - 1).astype(np.int8),
        "taps": plane.taps,
        "zero": 2 * int8(graph, op, op.outputs[0])[1] + 1,
        "channels": channels,
        "input_height": source[1],
        "input_width": source[2],
        "output_height": output[1],
        "output_width": output[2],
        "filter_height": filter_h,
        "filter_width": filter_w,
        "pad_top": op.options["pad_top"],
        "pad_left": op.options["pad_left"],
        **{
            name: getattr(plane, name)
            for name in ("phases_w", "phase_bytes", "outputs_h", "outputs_w", "row", "padded_bytes")
        },
        "padding": operand(graph, op)[1],
    }
    convolution = Call(plane.kernel, "depthwise_planar_s8_params", fields, (op.inputs[0], op.outputs[0]), scratch=True)
    return Step(op, (convolution, *clamped(graph, op)), macs)


register(
    Operator(
        kind="DEPTHWISE_CONV_2D",
        options=Options("DepthwiseConv2DOptions", 2, {**options.convolution(4), "channel_multiplier": Field(3)}),
        required=2,
        maps=1,
        weights=3,
        lower=depthwise_conv_2d,
        needs=depthwise_conv_2d_needs,
        results=None,
        evaluate=None,
        keeps_bytes=None,
        renamed=None,
        channels=Channels.REPEATED,
        traits=Trait.CONVOLUTION | Trait.FUSES_ACTIVATION,
        row=Row(
            "`depthwise_planar_3x3_s8`, `depthwise_planar_5x5_s8`, `depthwise_planar_3x3_stride2_s8`,"
            " `depthwise_planar_s8` (all over `depthwise_planes_s8`); `depthwise_conv_2d_s8` with a depth multiplier,"
            " several batches, or scales for which the short requantisation is not proven",
            "depth multiplier, and as CONV_2D",
            "as CONV_2D",
        ),
    )
)
