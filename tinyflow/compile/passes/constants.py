"""Operators that read nothing but constants are computed here, once.

Those that move bytes, with numpy; table activations and QUANTIZE by the tables that their kernels would use.
"""

from dataclasses import replace

import numpy as np

from tinyflow.compile.fixedpoint import clamp, requantize
from tinyflow.compile.graph import VIEWS, Graph, Op
from tinyflow.compile.operators import LOWERINGS
from tinyflow.compile.passes.draft import Draft

MOVES = {*VIEWS, "CONCATENATION", "PAD", "STRIDED_SLICE", "TRANSPOSE"}
TABLES = ("HARD_SWISH", "LOGISTIC", "QUANTIZE", "RELU", "RELU6")


def fold_constants(graph: Graph) -> Graph:
    draft = Draft(graph)
    for op in graph.ops:
        if op.outputs[0] in graph.outputs or not all(draft.tensors[index].constant for index in op.inputs if index >= 0):
            continue
        current = draft.graph()
        if op.kind in MOVES:
            if op.kind not in VIEWS:
                LOWERINGS[op.kind](current, op)  # refuses what the kernel would
            data = _moved(draft, op)
        elif op.kind in TABLES and draft.tensors[op.inputs[0]].dtype == "int8":
            data = _table(current, op)[draft.tensors[op.inputs[0]].data.astype(np.int64) + 128]
        else:
            continue
        output = draft.tensors[op.outputs[0]]
        if data.size != output.elements:
            continue
        draft.tensors[op.outputs[0]] = replace(output, data=np.ascontiguousarray(data.reshape(output.shape)))
        draft.put(op, [])
    return draft.graph()


def _table(graph: Graph, op: Op) -> np.ndarray:
    """int8 (256,): the result for each int8, from -128 on."""
    fields = LOWERINGS[op.kind](graph, op).calls[0].fields
    if "table" in fields:
        return fields["table"]
    values = [
        requantize(q + fields["input_offset"], fields["output_multiplier"], fields["output_shift"]) + fields["output_offset"] for q in range(-128, 128)
    ]
    return np.array([clamp(value, -128, 127) for value in values], np.int8)


def _moved(draft: Draft, op: Op) -> np.ndarray:
    data, *parameters = (draft.tensors[index].data for index in op.inputs)
    match op.kind:
        case "TRANSPOSE":
            return data.transpose(parameters[0].reshape(-1))
        case "CONCATENATION":
            return np.concatenate([data, *parameters], op.options["axis"])
        case "PAD":
            value = draft.tensors[op.outputs[0]].quantization.zero_point[0]
            return np.pad(data, parameters[0].reshape(-1, 2), constant_values=value)
        case "STRIDED_SLICE":
            return data[_slices(op, *(part.reshape(-1) for part in parameters))]
    return data


def _slices(op: Op, begin: np.ndarray, end: np.ndarray, step: np.ndarray) -> tuple:
    options, parts = op.options, []
    for axis in range(len(begin)):
        bit = 1 << axis
        if options["shrink_axis_mask"] & bit:
            parts.append(int(begin[axis]))
        else:
            first, last = (None if options[f"{side}_mask"] & bit else int(bounds[axis]) for side, bounds in (("begin", begin), ("end", end)))
            parts.append(slice(first, last, int(step[axis])))
    return tuple(parts)
