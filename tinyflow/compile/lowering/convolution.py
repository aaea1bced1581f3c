"""CONV_2D (grouped too), DEPTHWISE_CONV_2D, FULLY_CONNECTED."""

from typing import Any

import numpy as np

from tinyflow.compile.fixedpoint import quantize_multiplier
from tinyflow.compile.graph import Graph, Op, Tensor
from tinyflow.compile.lowering.step import Step, activation_range, int8, need


def _weights(graph: Graph, op: Op) -> Tensor:
    tensor = graph.tensor(op.inputs[1])
    need(tensor.constant, graph, op, f"weights {tensor.name!r} are computed at run time; they must be constant")
    need(tensor.dtype == "int8", graph, op, f"weights {tensor.name!r} are {tensor.dtype}; the kernel's are int8", "quantise them to int8")
    need(tensor.quantization is not None, graph, op, f"weights {tensor.name!r} have no quantisation")
    need(
        not tensor.quantization.zero_point.any(),
        graph,
        op,
        f"weights {tensor.name!r} have zero points other than 0",
        "int8 weights are symmetric: convert again",
    )
    return tensor


def _bias(graph: Graph, op: Op, channels: int) -> np.ndarray | None:
    if len(op.inputs) < 3 or op.inputs[2] < 0:
        return None
    tensor = graph.tensor(op.inputs[2])
    need(
        tensor.constant and tensor.dtype == "int32" and tensor.elements == channels,
        graph,
        op,
        f"bias {tensor.name!r} is {tensor.dtype} {list(tensor.shape)}; it must be a constant int32 of {channels}",
    )
    return tensor.data.reshape(-1)


def _channel_quant(real: list[float]) -> dict[str, Any]:
    pairs = [quantize_multiplier(value) for value in real]
    return {
        "multiplier": np.array([multiplier for multiplier, _ in pairs], np.int32),
        "shift": np.array([shift for _, shift in pairs], np.int8),
        "quant_step": int(len(real) > 1),
    }


def _per_channel(graph: Graph, op: Op, weights: Tensor, axis: int) -> dict[str, Any]:
    """Multipliers input_scale * weight_scale / output_scale in double, one per output channel or one for all."""
    scales = weights.quantization.scale
    need(
        len(scales) == 1 or (len(scales) == weights.shape[axis] and weights.quantization.axis == axis),
        graph,
        op,
        f"weights {weights.name!r} have {len(scales)} scales along axis {weights.quantization.axis}; "
        f"expected {weights.shape[axis]} along {axis}, or one",
    )
    (input_scale, _), (output_scale, _) = int8(graph, op, op.inputs[0]), int8(graph, op, op.outputs[0])
    return _channel_quant([float(input_scale) * float(scale) / float(output_scale) for scale in scales])


def _offsets(graph: Graph, op: Op) -> dict[str, int]:
    return {
        "input_offset": -int8(graph, op, op.inputs[0])[1],
        "output_offset": int8(graph, op, op.outputs[0])[1],
        **activation_range(graph, op),
    }


def _geometry(op: Op) -> dict[str, int]:
    names = ("stride_h", "stride_w", "dilation_h", "dilation_w", "pad_top", "pad_left")
    return {name: int(op.options[name]) for name in names}


def conv_2d(graph: Graph, op: Op) -> Step:
    weights = _weights(graph, op)
    source, output = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
    channels, filter_h, filter_w, depth = weights.shape
    need(
        source[3] % depth == 0 and channels % (source[3] // depth) == 0 and output[3] == channels and output[0] == source[0],
        graph,
        op,
        f"weights {list(weights.shape)} do not fit an input of {source[3]} channels and an output {list(output)}",
    )
    fields = {
        "weights": weights.data,
        "bias": _bias(graph, op, channels),
        "quant": _per_channel(graph, op, weights, 0),
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
        **_geometry(op),
        **_offsets(graph, op),
    }
    macs = output[1] * output[2] * weights.elements
    return Step.of(op, "conv_2d_s8", "conv_2d_s8_params", fields, (op.inputs[0], op.outputs[0]), macs)


def depthwise_conv_2d(graph: Graph, op: Op) -> Step:
    weights = _weights(graph, op)
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
    fields = {
        "weights": weights.data,
        "bias": _bias(graph, op, channels),
        "quant": _per_channel(graph, op, weights, 3),
        "batches": source[0],
        "input_height": source[1],
        "input_width": source[2],
        "input_channels": source[3],
        "output_height": output[1],
        "output_width": output[2],
        "channel_multiplier": multiplier,
        "filter_height": filter_h,
        "filter_width": filter_w,
        **_geometry(op),
        **_offsets(graph, op),
    }
    macs = output[1] * output[2] * weights.elements
    kernel = "depthwise_conv_2d_s8"
    return Step.of(op, kernel, kernel + "_params", fields, (op.inputs[0], op.outputs[0]), macs)


def fully_connected(graph: Graph, op: Op) -> Step:
    weights = _weights(graph, op)
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    need(op.options["weights_format"] == 0, graph, op, "weights are stored shuffled", "convert without shuffled weights")
    need(len(weights.shape) == 2, graph, op, f"weights {weights.name!r} are {list(weights.shape)}, not 2-D")
    outputs, depth = weights.shape
    batches = source.elements // depth
    need(
        source.elements == batches * depth and output.elements == batches * outputs and output.shape[-1:] == (outputs,),
        graph,
        op,
        f"weights {list(weights.shape)} do not fit {list(source.shape)} -> {list(output.shape)}",
    )
    bias = _bias(graph, op, outputs)
    (input_scale, _), (output_scale, _) = int8(graph, op, op.inputs[0]), int8(graph, op, op.outputs[0])
    quant = _per_channel(graph, op, weights, 0)
    if not quant["quant_step"]:  # TFLM checks the bias only here
        _check_bias_scale(graph, op, float(input_scale) * float(weights.quantization.scale[0]), float(output_scale))
    fields = {
        "weights": weights.data,
        "bias": bias,
        "quant": quant,
        "batches": batches,
        "depth": depth,
        "outputs": outputs,
        **_offsets(graph, op),
    }
    kernel = "fully_connected_s8"
    return Step.of(op, kernel, kernel + "_params", fields, (op.inputs[0], op.outputs[0]), batches * depth * outputs)


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
