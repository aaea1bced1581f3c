"""Operators that read nothing but constants are computed here, once.

Those that move bytes, with numpy; functions of one value by their 256 results.
"""

from dataclasses import replace

import numpy as np

from tinyflow.compile.graph import Graph
from tinyflow.compile.operators import facts
from tinyflow.compile.passes.draft import Draft


def fold_constants(graph: Graph) -> Graph:
    draft = Draft(graph)
    for op in graph.ops:
        if op.outputs[0] in graph.outputs or not all(
            draft.tensors[index].constant for index in op.inputs if index >= 0
        ):
            continue
        current, operator = draft.graph(), facts(op)
        if operator.evaluate is not None:
            if operator.lower is not None:
                operator.lower(current, op)  # refuses what the kernel would
            data = operator.evaluate(current, op)
        elif operator.results is not None and draft.tensors[op.inputs[0]].dtype == "int8":
            data = operator.results(current, op)[draft.tensors[op.inputs[0]].values.astype(np.int64) + 128]
        else:
            continue
        output = draft.tensors[op.outputs[0]]
        if data.size != output.elements:
            continue
        draft.tensors[op.outputs[0]] = replace(output, data=np.ascontiguousarray(data.reshape(output.shape)))
        draft.put(op, [])
    return draft.graph()
