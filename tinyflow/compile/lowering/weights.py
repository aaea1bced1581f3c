"""Weights, biases and multipliers: what all convolutions share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyflow.compile.fixedpoint import quantize_multiplier
from tinyflow.compile.graph import Graph, Op, Tensor
from tinyflow.compile.lowering.step import activation_range, int8, need


def constant_weights(graph: Graph, op: Op) -> Tensor:
    tensor = graph.tensor(op.inputs[1])
    need(tensor.constant, graph, op, f"weights {tensor.name!r} are computed at run time; they must be constant")
    need(
        tensor.dtype == "int8",
        graph,
        op,
        f"weights {tensor.name!r} are {tensor.dtype}; the kernel's are int8",
        "quantise them to int8",
    )
    need(tensor.quantization is not None, graph, op, f"weights {tensor.name!r} have no quantisation")
    need(
        not tensor.affine.zero_point.any(),
        graph,
        op,
        f"weights {tensor.name!r} have zero points other than 0",
        "int8 weights are symmetric: convert again",
    )
    return tensor


def operand(graph: Graph, op: Op) -> tuple[np.float32, int]:
    """(scale, zero point) of what the weights meet: the input, or what the table of ``op`` makes of it."""
    if "table" in op.options:
        return np.float32(op.options["input_scale"]), int(op.options["input_zero_point"])
    return int8(graph, op, op.inputs[0])


def biases(graph: Graph, op: Op, channels: int) -> NDArray[np.int32] | None:
    if len(op.inputs) < 3 or op.inputs[2] < 0:
        return None
    tensor = graph.tensor(op.inputs[2])
    need(
        tensor.constant and tensor.dtype == "int32" and tensor.elements == channels,
        graph,
        op,
        f"bias {tensor.name!r} is {tensor.dtype} {list(tensor.shape)}; it must be a constant int32 of {channels}",
    )
    return tensor.values.reshape(-1)


def channel_quant(real: list[float]) -> dict[str, Any]:
    pairs = [quantize_multiplier(value) for value in real]
    return {
        "multiplier": np.array([multiplier for multiplier, _ in pairs], np.int32),
        "shift": np.array([shift for _, shift in pairs], np.int8),
        "quant_step": int(len(real) > 1),
    }


def per_channel(graph: Graph, op: Op, weights: Tensor, axis: int) -> dict[str, Any]:
    """Multipliers input_scale * weight_scale / output_scale in double, one per output channel or one for all."""
    scales, along = weights.affine.scale, weights.affine.axis
    need(
        len(scales) == 1 or (len(scales) == weights.shape[axis] and along == axis),
        graph,
        op,
        f"weights {weights.name!r} have {len(scales)} scales along axis {along}; "
        f"expected {weights.shape[axis]} along {axis}, or one",
    )
    (input_scale, _), (output_scale, _) = operand(graph, op), int8(graph, op, op.outputs[0])
    return channel_quant([float(input_scale) * float(scale) / float(output_scale) for scale in scales])


def offsets(graph: Graph, op: Op) -> dict[str, int]:
    return {
        "input_offset": -operand(graph, op)[1],
        "output_offset": int8(graph, op, op.outputs[0])[1],
        **activation_range(graph, op),
    }


def geometry(op: Op) -> dict[str, int]:
    names = ("stride_h", "stride_w", "dilation_h", "dilation_w", "pad_top", "pad_left")
    return {name: int(op.options[name]) for name in names}
