"""CONV_2D (grouped too) and FULLY_CONNECTED: the packed kernels where their requantisation is proven, else the
reference kernels.
"""

from typing import Any

from tinyflow.compile.graph import Graph, Op, Tensor
from tinyflow.compile.lowering.matmul import matmul, padded
from tinyflow.compile.lowering.requant import requant
from tinyflow.compile.lowering.step import Step, int8, need
from tinyflow.compile.lowering.weights import biases, constant_weights, geometry, offsets, per_channel
from tinyflow.compile.needs import FREE, NHWC_IN, Needs
from tinyflow.compile.operators import options
from tinyflow.compile.operators.registry import Channels, Operator, Row, Trait, register
from tinyflow.compile.schema import Field, Options

PIXELS = 3  # of a block (MATMUL_PIXELS)


def conv_2d_needs(graph: Graph, op: Op) -> Needs:
    source, output, weights = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0]), graph.tensor(op.inputs[1])
    if len(weights.shape) != 4 or weights.shape[3] != source.shape[3] or source.shape[0] != 1 or not _packs(graph, op):
        return Needs()
    _, filter_h, filter_w, depth = weights.shape
    if pointwise(op, source, output, weights):
        if _pixels(source) == 1:
            return Needs(FREE, 2 * padded(depth), (0,))
        return Needs(FREE, 3 * PIXELS * padded(depth), (0,) if _in_place(source, output) else ())
    run = padded(filter_w * depth)
    return Needs(NHWC_IN, 2 * PIXELS * filter_h * run + (PIXELS + 1) * run)


def fully_connected_needs(graph: Graph, op: Op) -> Needs:
    weights = graph.tensor(op.inputs[1])
    if len(weights.shape) != 2 or not _packs(graph, op):
        return Needs()
    depth = weights.shape[1]
    if graph.tensor(op.inputs[0]).elements == depth:
        return Needs(scratch=2 * padded(depth), in_place=(0,))
    return Needs(scratch=3 * PIXELS * padded(depth), in_place=(0,))


def _packs(graph: Graph, op: Op) -> bool:
    """Whether the short requantisation holds; without quantisation (a graph of shapes) it is taken to."""
    weights = graph.tensor(op.inputs[1])
    if weights.quantization is None or weights.data is None:
        return True
    return requant(graph, op, constant_weights(graph, op).values, 0) is not None


def _pixels(tensor: Tensor) -> int:
    return tensor.shape[1] * tensor.shape[2]


def pointwise(op: Op, source: Tensor, output: Tensor, weights: Tensor) -> bool:
    """A 1x1 filter that never meets padding."""
    inside = (output.shape[1] - 1) * op.options["stride_h"] < source.shape[1] and (output.shape[2] - 1) * op.options[
        "stride_w"
    ] < source.shape[2]
    return weights.shape[1:3] == (1, 1) and op.options["pad_top"] == op.options["pad_left"] == 0 and inside


def _planes(source: Tensor, output: Tensor) -> tuple[bool, bool]:
    """(input planar, output planar); a single channel is both, so it is taken to be what the other is."""
    return (output.planar if source.shape[3] == 1 else source.planar), (
        source.planar if output.shape[3] == 1 else output.planar
    )


def _in_place(source: Tensor, output: Tensor) -> bool:
    """The conditions of pointwise_conv_2d_s8 (kernels.h)."""
    same = source.shape[1:3] == output.shape[1:3]
    planes = _planes(source, output)
    return planes == (True, True) and same or planes == (False, False) and (same or output.shape[3] <= source.shape[3])


def conv_2d(graph: Graph, op: Op) -> Step:
    weights = constant_weights(graph, op)
    source, output = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
    channels, filter_h, filter_w, depth = weights.shape
    need(
        source[3] % depth == 0
        and channels % (source[3] // depth) == 0
        and output[3] == channels
        and output[0] == source[0],
        graph,
        op,
        f"weights {list(weights.shape)} do not fit an input of {source[3]} channels and an output {list(output)}",
    )
    macs = output[1] * output[2] * weights.elements
    tensors = (op.inputs[0], op.outputs[0])
    if depth == source[3] and source[0] == 1:
        product = matmul(graph, op, weights.values.reshape(channels, filter_h, filter_w * depth), 2)
        if product is not None:
            return _packed(graph, op, product, macs)
    fields = {
        "weights": weights.data,
        "bias": biases(graph, op, channels),
        "quant": per_channel(graph, op, weights, 0),
        "batches": source[0],
        "input_height": source[1],
        "input_width": source[2],
        "input_channels": source[3],
        "output_height": output[1],
        "output_width": output[2],
        "output_channels": channels,
        "filter_height": filter_h,
        "filter_width": filter_w,
        "filter_channels": depth,
        **geometry(op),
        **offsets(graph, op),
    }
    return Step.of(op, "conv_2d_s8", "conv_2d_s8_params", fields, tensors, macs)


def _packed(graph: Graph, op: Op, product: dict[str, Any], macs: int) -> Step:
    source, output, weights = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0]), graph.tensor(op.inputs[1])
    _, height, width, channels = source.shape
    where = geometry(op)
    if pointwise(op, source, output, weights) and _pixels(source) == 1:
        dense = matmul(graph, op, weights.values.reshape(output.shape[3], 1, channels), 4)
        assert dense is not None  # as the product by pairs is not
        return _dense(op, dense, channels, macs)
    in_planar, out_planar = _planes(source, output)
    fields = {**product, "input_channels": channels, **_strides("output", output, out_planar)}
    if pointwise(op, source, output, weights):
        kernel = "pointwise_conv_2d_s8"
        at = _strides("input", source, in_planar)
        rows, row_pixels, stride_h, stride_w = *output.shape[1:3], where["stride_h"], where["stride_w"]
        if source.shape[1:3] == output.shape[1:3]:  # a stride along an axis of one pixel is none
            rows, row_pixels, stride_h, stride_w = 1, rows * row_pixels, 1, 1
        fields |= {
            "input_bytes": source.bytes,
            "input_row": width * stride_h * at["input_pixel"],
            "input_pixel": stride_w * at["input_pixel"],
            "input_channel": at["input_channel"],
            "rows": rows,
            "row_pixels": row_pixels,
            "backwards": int(rows == 1 and not in_planar and output.shape[3] > channels),
        }
    else:
        kernel = "conv_2d_packed_s8"
        _, filter_h, filter_w, _ = weights.shape
        fields |= {
            "input_height": height,
            "input_width": width,
            "input_zero": int8(graph, op, op.inputs[0])[1],
            "output_width": output.shape[2],
            "output_pixels": _pixels(output),
            "filter_height": filter_h,
            "filter_width": filter_w,
            "run": padded(filter_w * channels),
            **where,
        }
    return Step.of(op, kernel, kernel + "_params", fields, (op.inputs[0], op.outputs[0]), macs, scratch=True)


def _strides(side: str, tensor: Tensor, planar: bool) -> dict[str, int]:
    pixel, channel = (1, _pixels(tensor)) if planar else (tensor.shape[3], 1)
    return {f"{side}_pixel": pixel, f"{side}_channel": channel}


def _dense(op: Op, product: dict[str, Any], depth: int, macs: int) -> Step:
    kernel = "fully_connected_packed_s8"
    return Step.of(
        op, kernel, kernel + "_params", {**product, "inputs": depth}, (op.inputs[0], op.outputs[0]), macs, scratch=True
    )


def fully_connected(graph: Graph, op: Op) -> Step:
    weights = constant_weights(graph, op)
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    need(
        op.options["weights_format"] == 0, graph, op, "weights are stored shuffled", "convert without shuffled weights"
    )
    need(len(weights.shape) == 2, graph, op, f"weights {weights.name!r} are {list(weights.shape)}, not 2-D")
    outputs, depth = weights.shape
    batches = source.elements // depth
    need(
        source.elements == batches * depth and output.elements == batches * outputs and output.shape[-1:] == (outputs,),
        graph,
        op,
        f"weights {list(weights.shape)} do not fit {list(source.shape)} -> {list(output.shape)}",
    )
    bias = biases(graph, op, outputs)
    (input_scale, _), (output_scale, _) = int8(graph, op, op.inputs[0]), int8(graph, op, op.outputs[0])
    quant = per_channel(graph, op, weights, 0)
    if not quant["quant_step"]:  # TFLM checks the bias only here
        _check_bias_scale(graph, op, float(input_scale) * float(weights.affine.scale[0]), float(output_scale))
    macs = batches * depth * outputs
    product = matmul(graph, op, weights.values.reshape(outputs, 1, depth), 4 if batches == 1 else 2)
    if product is not None:
        return _dense(op, product, depth, macs) if batches == 1 else _rows(op, product, batches, depth, outputs, macs)
    fields = {
        "weights": weights.data,
        "bias": bias,
        "quant": quant,
        "batches": batches,
        "depth": depth,
        "outputs": outputs,
        **offsets(graph, op),
    }
    kernel = "fully_connected_s8"
    return Step.of(op, kernel, kernel + "_params", fields, (op.inputs[0], op.outputs[0]), macs)


def _rows(op: Op, product: dict[str, Any], batches: int, depth: int, outputs: int, macs: int) -> Step:
    """Several rows are the pixels of a pointwise convolution."""
    fields = {
        **product,
        "input_bytes": batches * depth,
        "input_channels": depth,
        "input_row": 0,
        "input_pixel": depth,
        "input_channel": 1,
        "rows": 1,
        "row_pixels": batches,
        "output_pixel": outputs,
        "output_channel": 1,
        "backwards": int(outputs > depth),
    }
    kernel = "pointwise_conv_2d_s8"
    return Step.of(op, kernel, kernel + "_params", fields, (op.inputs[0], op.outputs[0]), macs, scratch=True)


def _check_bias_scale(graph: Graph, op: Op, product: float, output_scale: float) -> None:
    if len(op.inputs) < 3 or op.inputs[2] < 0:
        return
    quantization = graph.tensor(op.inputs[2]).quantization
    scale = float(quantization.scale[0]) if quantization is not None else 0.0
    need(
        abs(product - scale) / output_scale <= 0.02,
        graph,
        op,
        f"the bias has scale {scale:g}; input times weight scale is {product:g}",
    )


register(
    Operator(
        kind="CONV_2D",
        options=Options("Conv2DOptions", 1, options.convolution(3)),
        required=2,
        maps=1,
        weights=0,
        lower=conv_2d,
        needs=conv_2d_needs,
        results=None,
        evaluate=None,
        keeps_bytes=None,
        renamed=None,
        channels=Channels.MADE,
        traits=Trait.CONVOLUTION | Trait.FUSES_ACTIVATION,
        row=Row(
            "`pointwise_conv_2d_s8` (1x1 without padding), `conv_2d_packed_s8` (both over `matmul_s8`),"
            " `fully_connected_packed_s8` (1x1 on one pixel); `conv_2d_s8` with groups, several batches, or scales for"
            " which the short requantisation is not proven",
            "grouped, dilated, SAME and VALID, one scale or one per output channel, bias optional",
            "weights that are not int8 and symmetric",
        ),
    )
)
register(
    Operator(
        kind="FULLY_CONNECTED",
        options=Options("FullyConnectedOptions", 8, {"weights_format": Field(1, "b"), **options.activation(0)}),
        required=2,
        maps=1,
        weights=0,
        lower=fully_connected,
        needs=fully_connected_needs,
        results=None,
        evaluate=None,
        keeps_bytes=None,
        renamed=None,
        channels=Channels.MADE,
        traits=Trait.FUSES_ACTIVATION,
        row=Row(
            "`fully_connected_packed_s8`, `pointwise_conv_2d_s8` (several rows); `fully_connected_s8` with scales for"
            " which the short requantisation is not proven",
            "per tensor or per channel, bias optional, several rows",
            "one scale and a bias whose scale is off by over 0.02 of the output's",
        ),
    )
)
