"""AVERAGE_POOL_2D, MAX_POOL_2D: windows over a map."""

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.step import Call, Step, activation_range, clamped, int8, need
from tinyflow.compile.needs import FREE, NHWC, SAME, Needs
from tinyflow.compile.operators import options
from tinyflow.compile.operators.registry import Channels, Operator, Row, Trait, register
from tinyflow.compile.schema import Field, Options

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


def _window(op: Op) -> int:
    return int(op.options["filter_h"] * op.options["filter_w"])


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
    at, tensors, kind = op.options, (op.inputs[0], op.outputs[0]), op.kind.lower()
    if whole_image(graph, op):
        fields = global_fields(graph, op) | {"rescales": 0}
        return Step(op, (Call("global_mean_s8", "global_mean_s8_params", fields, tensors), *clamped(graph, op)))
    fields = {
        "channels": source[3],
        "input_height": source[1],
        "input_width": source[2],
        "output_height": output[1],
        "output_width": output[2],
        "filter_height": at["filter_h"],
        "filter_width": at["filter_w"],
        **{name: at[name] for name in ("stride_h", "stride_w", "pad_top", "pad_left")},
        "counts_padding": int(at.get("counts_padding", False)),  # passes/padding.py
        "padding_value": input_zero,
    }
    if _planes(graph, op):
        pitch, padded = _padded(graph, op)
        fields |= {"pitch": pitch, "padded_bytes": padded}
        pool = Call(kind.replace("_2d", "_planar") + "_s8", "pool_planar_s8_params", fields, tensors, scratch=True)
        return Step(op, (pool, *clamped(graph, op)))
    fields |= {"batches": source[0], **activation_range(graph, op)}
    return Step.of(op, f"{kind}_s8", "pool_2d_s8_params", fields, tensors)


def global_fields(graph: Graph, op: Op) -> dict[str, int]:
    """Of global_mean_s8, the mean of all pixels of one image."""
    source = graph.tensor(op.inputs[0])
    return {"channels": source.shape[3], "pixels": source.shape[1] * source.shape[2], "planar": int(source.planar)}


def _single_pixels(graph: Graph, op: Op) -> bool:
    window = {op.options[name] for name in ("filter_h", "filter_w", "stride_h", "stride_w")}
    return (
        graph.tensor(op.inputs[0]).alike(graph.tensor(op.outputs[0]))
        and window == {1}
        and op.options["pad_top"] == op.options["pad_left"] == 0
        and op.options["activation"] == "NONE"
    )


def _register(kind: str, row: Row) -> None:
    register(
        Operator(
            kind=kind,
            options=Options("Pool2DOptions", 5, {**options.window(5), "filter_h": Field(4), "filter_w": Field(3)}),
            required=1,
            maps=1,
            weights=None,
            lower=pool_2d,
            needs=pool_2d_needs,
            results=None,
            evaluate=None,
            keeps_bytes=_single_pixels,
            renamed=None,
            channels=Channels.KEPT,
            traits=Trait.POOL | Trait.FUSES_ACTIVATION,
            row=row,
        )
    )


_register(
    "AVERAGE_POOL_2D",
    Row(
        "`average_pool_planar_s8` (planes, windows of up to 180 pixels), `global_mean_s8` (one window of all pixels),"
        " `average_pool_2d_s8`",
        "padding not counted, or counted as the zero point where a PAD was taken in",
        "input and output with other scales (over 1e-6) or zero points",
    ),
)
_register("MAX_POOL_2D", Row("`max_pool_planar_s8` (planes), `max_pool_2d_s8`", "", "as AVERAGE_POOL_2D"))
