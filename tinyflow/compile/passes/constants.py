"""Operators that read nothing but constants are computed here, once.

Those that move bytes, with numpy; functions of one value by their 256 results.
"""

from dataclasses import replace

import numpy as np

from tinyflow.compile.graph import VIEWS, Graph, Op
from tinyflow.compile.lowering import elementwise
from tinyflow.compile.operators import LOWERINGS
from tinyflow.compile.passes.draft import Draft

MOVES = {*VIEWS, "CONCATENATION", "PAD", "STRIDED_SLICE", "TRANSPOSE"}


def fold_constants(graph: Graph) -> Graph:
    draft = Draft(graph)
    for op in graph.ops:
        if op.outputs[0] in graph.outputs or not all(
            draft.tensors[index].constant for index in op.inputs if index >= 0
        ):
            continue
        current = draft.graph()
        if op.kind in MOVES:
            if op.kind not in VIEWS:
                LOWERINGS[op.kind](current, op)  # refuses what the kernel would
            data = _moved(draft, op)
        elif op.kind in elementwise.RESULTS and draft.tensors[op.inputs[0]].dtype == "int8":
            data = elementwise.results(current, op)[draft.tensors[op.inputs[0]].data.astype(np.int64) + 128]
        else:
            continue
        output = draft.tensors[op.outputs[0]]
        if data.size != output.elements:
            continue
        draft.tensors[op.outputs[0]] = replace(output, data=np.ascontiguousarray(data.reshape(output.shape)))
        draft.put(op, [])
    return draft.graph()


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
            first, last = (
                None if options[f"{side}_mask"] & bit else int(bounds[axis])
                for side, bounds in (("begin", begin), ("end", end))
            )
            parts.append(slice(first, last, int(step[axis])))
    return tuple(parts)
