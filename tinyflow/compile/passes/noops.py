"""Operators whose output is their input, byte for byte, go; those that only give it another shape become views.

A TRANSPOSE that moves nothing but axes of size 1, a STRIDED_SLICE of everything, a PAD by nothing, pools of one pixel,
the mean of one value, a QUANTIZE or RELU that no int8 feels, a CONCATENATION of one tensor, a resize to the same size.
"""

import numpy as np

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering import elementwise
from tinyflow.compile.passes.draft import Draft
from tinyflow.errors import TinyflowError

IDENTITY = np.arange(-128, 128)


def remove_noops(graph: Graph) -> Graph:
    draft = Draft(graph)
    for op in graph.ops:
        op = draft.maker(op.outputs[0])  # reads may have been redirected
        if op is None or op.inputs[0] < 0 or not _keeps_bytes(draft, op):
            continue
        source, output = draft.tensors[op.inputs[0]], draft.tensors[op.outputs[0]]
        if (
            source.shape == output.shape
            and source.planar == output.planar
            and draft.alike(op.inputs[0], op.outputs[0])
            and not source.constant
        ):
            draft.bypass(op)
        elif op.kind != "RESHAPE" and not source.planar and not output.planar:
            draft.put(op, [Op("RESHAPE", op.inputs[:1], op.outputs)])
    return draft.graph()


def _keeps_bytes(draft: Draft, op: Op) -> bool:
    """Whether the output has the bytes of the first input, in the same order."""
    source, output = draft.tensors[op.inputs[0]], draft.tensors[op.outputs[0]]
    if source.elements != output.elements or source.dtype != output.dtype:
        return False
    alike = draft.alike(op.inputs[0], op.outputs[0])
    match op.kind:
        case "RESHAPE":
            return True
        case "TRANSPOSE":
            order = _integers(draft, op, 1)
            moved = [axis for axis in order if axis < len(source.shape) and source.shape[axis] > 1]
            return bool(order) and moved == sorted(moved)
        case "STRIDED_SLICE":
            plain = not any(op.options[mask] for mask in ("ellipsis_mask", "new_axis_mask", "offset"))
            return plain and len(op.inputs) > 3 and all(step == 1 for step in _integers(draft, op, 3))
        case "PAD" | "PADV2" | "CONCATENATION" | "RESIZE_NEAREST_NEIGHBOR":
            return alike and source.shape == output.shape and op.options.get("activation", "NONE") == "NONE"
        case "AVERAGE_POOL_2D" | "MAX_POOL_2D":
            window = {op.options[name] for name in ("filter_h", "filter_w", "stride_h", "stride_w")}
            return (
                alike
                and window == {1}
                and op.options["pad_top"] == op.options["pad_left"] == 0
                and op.options["activation"] == "NONE"
            )
        case "MEAN":
            return alike and bool(_integers(draft, op, 1))  # as many elements: the axes have size 1
        case "QUANTIZE":
            return alike and source.quantization is not None
        case "RELU" | "RELU6":
            return alike and source.quantization is not None and np.array_equal(_results(draft, op), IDENTITY)
    return False


def _integers(draft: Draft, op: Op, position: int) -> list[int]:
    tensor = draft.tensors[op.inputs[position]] if len(op.inputs) > position else None
    return [int(value) for value in tensor.data.reshape(-1)] if tensor is not None and tensor.constant else []


def _results(draft: Draft, op: Op) -> np.ndarray | None:
    try:
        return elementwise.results(draft.graph(), op)
    except TinyflowError:
        return None  # the lowering refuses it and says why
