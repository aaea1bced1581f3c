"""The TFLite reader: a .tflite flatbuffer to Graph.

Reads structure only; whether an operator's quantisation is one we (and TFLM) compute is checked where it is
lowered to a kernel (tinyflow/compile/operators). Tensor indices of the Graph are those of the file.

Operators that no output depends on are not looked at. So with a dynamic batch stored as 1: the SHAPE, STRIDED_SLICE and
PACK that a converter puts before each RESHAPE compute a shape that its output tensor has already.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyflow.compile.graph import Graph, Op, Quantization, Tensor, live
from tinyflow.compile.operators import OPERATORS, Trait, supported
from tinyflow.compile.schema import Model, StoredOperator, StoredTensor, read_model
from tinyflow.errors import TinyflowError

DTYPES = {0: "float32", 2: "int32", 3: "uint8", 4: "int64", 7: "int16", 9: "int8"}  # schema's TensorType
ACTIVATION_DTYPES = ("int8", "float32")
MAX_AXES = 32  # numpy's, in its older versions
MAX_BYTES = 1 << 28  # of a file: more than any microcontroller's flash


def pad_before(size: int, filter_size: int, output: int, stride: int, dilation: int) -> int:
    """Padding before the first element of one axis; the odd one goes after, as in TFLite."""
    total = (output - 1) * stride + (filter_size - 1) * dilation + 1 - size
    return max(total, 0) // 2


def output_size(size: int, filter_size: int, stride: int, dilation: int, padding: str) -> int:
    reach = (filter_size - 1) * dilation + 1
    return -(-size // stride) if padding == "SAME" else (size - reach) // stride + 1


FIXED_BATCH = "convert with a fixed batch of 1 (Keras: Input(batch_size=1, ...))"
UNSUPPORTED_HINTS = dict.fromkeys(  # which TF writes around a dilated convolution only when the batch is dynamic
    ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"), f"{FIXED_BATCH}: a dilated convolution is then one operator"
)


def read_tflite(path: Path | str) -> Graph:
    """The network in ``path``: one subgraph, static shapes, batch as stored.

    Errors name the operator or tensor: not a TFLite file, damage, several subgraphs, an operator we lack (the supported
    ones are listed), a variable tensor, a dynamic shape, a type we lack.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise TinyflowError(f"cannot read {path}: {error.strerror}", "give the path of a .tflite file") from None
    if len(data) > MAX_BYTES:
        raise TinyflowError(f"{path} has over {MAX_BYTES:,} bytes", "such models are not for a microcontroller")
    return parse_tflite(data, path.name)


def parse_tflite(data: bytes, name: str) -> Graph:
    """read_tflite for bytes; ``name`` is how errors call them."""
    model = read_model(data, name)
    stored = [_operator(operator) for operator in model.operators]
    numbers = live(stored, model.outputs)
    used = {
        *model.inputs,
        *model.outputs,
        *(index for number in numbers for index in (*stored[number].inputs, *stored[number].outputs)),
    }
    tensors = tuple(_tensor(model, index, index in used) for index in range(len(model.tensors)))
    ops = []
    for number in numbers:
        op = _read(stored[number], model.operators[number], number, tensors, name)
        ops.append(_resolve(op, tensors, name))
        _check_dtypes(op, tensors, _where(op, number, tensors, name))
    graph = Graph(name, tensors, tuple(ops), model.inputs, model.outputs)
    _check_order(graph)
    return graph


def _operator(operator: StoredOperator) -> Op:
    """Kind, inputs and outputs. A view has no use for more than its first input: its output tensor has the shape."""
    view = operator.kind in OPERATORS and OPERATORS[operator.kind].view
    return Op(operator.kind, operator.inputs[:1] if view else operator.inputs, operator.outputs)


def _where(op: Op, number: int, tensors: tuple[Tensor, ...], name: str) -> str:
    return f"{op.kind} (operator {number}, output {tensors[op.outputs[0]].name!r}) in {name}"


def _read(op: Op, stored: StoredOperator, number: int, tensors: tuple[Tensor, ...], name: str) -> Op:
    """``op`` with its options; errors say what is wrong with the operator itself."""
    if len(op.outputs) != 1 or op.outputs[0] < 0:
        raise TinyflowError(
            f"{name}: operator {number} ({op.kind}) has {len(op.outputs)} outputs; one is supported", "export it again"
        )
    kind, inputs, where = op.kind, op.inputs, _where(op, number, tensors, name)
    operator = OPERATORS.get(kind)
    if operator is None or operator.has(Trait.INTERNAL):
        raise TinyflowError(
            f"{where} is not supported", UNSUPPORTED_HINTS.get(kind) or f"supported: {', '.join(supported())}"
        )
    present = inputs if operator.weights is None else inputs[:2]  # -1, or none, where there is no bias
    if len(present) < operator.required or -1 in present:
        raise TinyflowError(f"{where} has the inputs {list(inputs)}; it needs {operator.required}", "export it again")
    if operator.options is None:
        return op
    if stored.options is None or stored.kind_of_options != operator.options.number:
        raise TinyflowError(f"{where} has no {operator.options.name}", "export it again")
    return replace(op, options=operator.options.read(stored.options))


def _tensor(model: Model, index: int, used: bool) -> Tensor:
    stored = model.tensors[index]
    label = stored.name or f"tensor {index}"
    where = f"tensor {label!r} in {model.file.name}"
    if not used:
        return Tensor(label, (), "unused")
    if stored.variable:
        raise TinyflowError(
            f"{where} is a variable; stateful models are not supported", "unroll the state into inputs and outputs"
        )
    if stored.sparse:
        raise TinyflowError(f"{where} is stored sparse", "convert it without sparsity")
    if any(size < 1 for size in stored.shape) or any(size < 0 for size in stored.signature[1:]):
        raise TinyflowError(
            f"{where} has the dynamic shape {list(stored.signature or stored.shape)}",
            f"only static shapes are supported: {FIXED_BATCH}",
        )
    if len(stored.shape) > MAX_AXES:
        raise TinyflowError(f"{where} has {len(stored.shape)} axes; at most {MAX_AXES} are read", "export it again")
    # A type we do not know matters only where an operator uses it; until then its number stands for it.
    dtype = DTYPES.get(stored.type, f"type {stored.type}")
    return Tensor(label, stored.shape, dtype, _quantization(stored), _data(model, stored, dtype, where))


def _quantization(stored: StoredTensor) -> Quantization | None:
    found = stored.affine()
    if found is None:
        return None
    scale, points, axis = found
    zero_point = points.astype(np.int32) if len(points) else np.zeros(len(scale), np.int32)
    if len(zero_point) != len(scale):
        zero_point = np.resize(zero_point, len(scale))
    return Quantization(scale, zero_point, axis)


def _data(model: Model, stored: StoredTensor, dtype: str, where: str) -> NDArray[Any] | None:
    raw, outside = model.data(stored)
    if outside:
        raise TinyflowError(
            f"{where} is stored outside the flatbuffer", "models over 2 GiB are not for a microcontroller"
        )
    if raw is None or dtype.startswith("type"):
        return raw
    need = math.prod(stored.shape) * np.dtype(dtype).itemsize
    if raw.size != need:
        raise TinyflowError(
            f"{where} has {raw.size} bytes of data; its shape {list(stored.shape)} {dtype} needs {need}",
            "export it again",
        )
    return raw.view(np.dtype(dtype).newbyteorder("<")).reshape(stored.shape)


def _resolve(op: Op, tensors: tuple[Tensor, ...], name: str) -> Op:
    """SAME and VALID as numbers: pad_top and pad_left."""
    if "padding" not in op.options:
        return op
    source, output = tensors[op.inputs[0]], tensors[op.outputs[0]]
    options = dict(op.options)
    if len(source.shape) != 4 or len(output.shape) != 4:
        raise TinyflowError(
            f"{op.kind} (output {output.name!r}) works on 4-D tensors, not {list(source.shape)}", "reshape to NHWC"
        )
    filter_h, filter_w = options.get("filter_h", 0), options.get("filter_w", 0)
    if OPERATORS[op.kind].weights is not None:
        weights = tensors[op.inputs[1]]
        if len(weights.shape) != 4:
            raise TinyflowError(
                f"{name} is damaged: the weights {weights.name!r} of {op.kind} have the shape {list(weights.shape)}",
                "export it again",
            )
        filter_h, filter_w = weights.shape[1:3]
    for axis, side, letter, size in ((1, "top", "h", filter_h), (2, "left", "w", filter_w)):
        stride, dilation = options[f"stride_{letter}"], options.get(f"dilation_{letter}", 1)
        want = output_size(source.shape[axis], size, stride, dilation, options["padding"]) if stride > 0 else 0
        if min(stride, dilation, size) < 1 or output.shape[axis] != want:
            raise TinyflowError(
                f"{op.kind} (output {output.name!r}): a {options['padding']} window of {size}, stride {stride},"
                f" dilation {dilation} over {source.shape[axis]} does not give {output.shape[axis]}",
                "the file contradicts itself: export it again",
            )
        options[f"pad_{side}"] = pad_before(source.shape[axis], size, want, stride, dilation)
    return replace(op, options=options)


def _check_dtypes(op: Op, tensors: tuple[Tensor, ...], where: str) -> None:
    for index in (*op.inputs, *op.outputs):
        tensor = tensors[index] if index >= 0 else None
        if tensor is not None and tensor.dtype not in (DTYPES.values() if tensor.constant else ACTIVATION_DTYPES):
            raise TinyflowError(
                f"{where}: tensor {tensor.name!r} is {tensor.dtype}",
                "supported: int8 everywhere, float32 between QUANTIZE and DEQUANTIZE; convert with full int8"
                " quantisation",
            )


def _check_order(graph: Graph) -> None:
    known = set(graph.inputs) | {index for index, tensor in enumerate(graph.tensors) if tensor.constant} | {-1}
    for op in graph.ops:
        for index in op.inputs:
            if index not in known:
                raise TinyflowError(
                    f"{graph.name}: {op.kind} reads {graph.tensors[index].name!r} before anything writes it",
                    "export it again",
                )
        if op.outputs[0] in known:
            raise TinyflowError(
                f"{graph.name}: {op.kind} writes {graph.tensors[op.outputs[0]].name!r}, which is already there",
                "export it again",
            )
        known |= set(op.outputs)
    for index in graph.outputs:
        if index not in known:
            raise TinyflowError(
                f"{graph.name}: nothing writes the output {graph.tensors[index].name!r}", "export it again"
            )
