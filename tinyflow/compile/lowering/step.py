"""Step: one operator as calls of C kernels; and the checks that every lowering shares."""

from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from tinyflow.compile.fixedpoint import round_half_away
from tinyflow.compile.graph import Graph, Op
from tinyflow.errors import TinyflowError

MAX_RANK = 5  # KERNEL_MAX_RANK of firmware/kernels/kernels.h


@dataclass(frozen=True)
class Call:
    """``kernel(&params, tensors..., scratch)``. A field is an int, a float, None (NULL), a tuple (an array of ints), a
    numpy array (a constant in flash, passed by address), a string (the name of a C function) or a dict (a nested
    struct).
    """

    kernel: str
    params: str  # C type of its struct
    fields: dict[str, Any]
    tensors: tuple[int, ...]  # inputs, then the output
    scratch: bool = False  # whether the kernel takes the step's scratch (Needs.scratch) as its last argument


@dataclass(frozen=True)
class Step:
    op: Op
    calls: tuple[Call, ...]
    macs: int = 0  # nominal, padding counted

    @staticmethod
    def of(
        op: Op,
        kernel: str,
        params: str,
        fields: dict[str, Any],
        tensors: tuple[int, ...],
        macs: int = 0,
        scratch: bool = False,
    ) -> "Step":
        return Step(op, (Call(kernel, params, fields, tensors, scratch),), macs)


def refuse(graph: Graph, op: Op, why: str, hint: str) -> NoReturn:
    raise TinyflowError(f"{op.kind} (output {graph.tensor(op.outputs[0]).name!r}) in {graph.name}: {why}", hint)


def need(
    condition: bool, graph: Graph, op: Op, why: str, hint: str = "TFLM refuses this too: convert the model again"
) -> None:
    if not condition:
        refuse(graph, op, why, hint)


def int8(graph: Graph, op: Op, index: int) -> tuple[np.float32, int]:
    """(scale, zero point) of an int8 tensor with one scale."""
    tensor = graph.tensor(index)
    need(
        tensor.dtype == "int8",
        graph,
        op,
        f"tensor {tensor.name!r} is {tensor.dtype}; the kernel is int8",
        "quantise it to int8",
    )
    need(
        tensor.quantization is not None,
        graph,
        op,
        f"tensor {tensor.name!r} has no quantisation",
        "convert with full int8 quantisation",
    )
    quantization = tensor.affine
    need(
        len(quantization.scale) == 1,
        graph,
        op,
        f"tensor {tensor.name!r} has {len(quantization.scale)} scales; only weights may",
    )
    scale, zero_point = np.float32(quantization.scale[0]), int(quantization.zero_point[0])
    need(
        bool(np.isfinite(scale)) and float(scale) > 0 and -128 <= zero_point <= 127,
        graph,
        op,
        f"tensor {tensor.name!r} has scale {scale} and zero point {zero_point}",
        "the scale must be positive and the zero point an int8",
    )
    return scale, zero_point


def constant(graph: Graph, op: Op, position: int, what: str) -> NDArray[Any]:
    """The constant input at ``position`` (axes, paddings, a permutation), as stored."""
    need(len(op.inputs) > position and op.inputs[position] >= 0, graph, op, f"{what} is missing")
    tensor = graph.tensor(op.inputs[position])
    need(tensor.constant, graph, op, f"{what} ({tensor.name!r}) is computed at run time; it must be a constant")
    return tensor.values


def integers(graph: Graph, op: Op, position: int, what: str) -> list[int]:
    values = constant(graph, op, position, what)
    need(values.dtype in (np.int32, np.int64), graph, op, f"{what} is {values.dtype}, not int32")
    return [int(value) for value in values.reshape(-1)]


def stored_integers(graph: Graph, op: Op, position: int) -> list[int]:
    """The constant input at ``position``, for a pass that only looks: none where it is missing or computed."""
    tensor = graph.tensor(op.inputs[position]) if len(op.inputs) > position else None
    return [int(value) for value in tensor.values.reshape(-1)] if tensor is not None and tensor.constant else []


def activation_range(graph: Graph, op: Op) -> dict[str, int]:
    """The fused activation as int8 limits; float32 arithmetic, as TFLM's Prepare."""
    scale, zero_point = int8(graph, op, op.outputs[0])
    activation = op.options["activation"]

    def quantized(real: float) -> int:
        return zero_point + round_half_away(float(np.float32(real) / scale))

    limits = {"NONE": (None, None), "RELU": (0.0, None), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}
    need(activation in limits, graph, op, f"the fused activation {activation}", f"supported: {', '.join(limits)}")
    low, high = limits[activation]
    return {
        "activation_min": -128 if low is None else max(-128, quantized(low)),
        "activation_max": 127 if high is None else min(127, quantized(high)),
    }


def clamped(graph: Graph, op: Op) -> tuple[Call, ...]:
    """After a kernel that only saturates: the clamp of the fused activation, if it is narrower than int8."""
    limits, output = activation_range(graph, op), op.outputs[0]
    if limits["activation_min"] == -128 and limits["activation_max"] == 127:
        return ()
    return (
        Call("clamp_s8", "clamp_s8_params", {"elements": graph.tensor(output).elements, **limits}, (output, output)),
    )


def same_size(graph: Graph, op: Op) -> int:
    """Elements of the output, which has as many as the input."""
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    need(
        source.elements == output.elements,
        graph,
        op,
        f"{list(source.shape)} -> {list(output.shape)} changes the number of elements",
    )
    return output.elements


def strides(shape: tuple[int, ...]) -> list[int]:
    """Row-major strides in elements."""
    result, step = [], 1
    for size in reversed(shape):
        result.append(step)
        step *= size
    return result[::-1]


def left_padded(values: list[int] | tuple[int, ...], rank: int, filler: int) -> tuple[int, ...]:
    return (filler,) * (rank - len(values)) + tuple(values)
