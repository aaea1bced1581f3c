"""RESHAPE and its kin as views.

A view has no code: the memory plan gives its output the bytes of its input. What is left to do here is to give
SQUEEZE and EXPAND_DIMS the one name RESHAPE, and to turn the view of a constant into a constant.
"""

from dataclasses import replace

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.operators import facts, named

RESHAPE = named("RESHAPE")


def simplify_views(graph: Graph) -> Graph:
    tensors, ops = list(graph.tensors), []
    for op in graph.ops:
        if not facts(op).view:
            ops.append(op)
            continue
        source, output = tensors[op.inputs[0]], tensors[op.outputs[0]]
        if source.constant and source.elements == output.elements:
            tensors[op.outputs[0]] = replace(output, data=source.values.reshape(output.shape))
        else:
            ops.append(Op(RESHAPE, op.inputs, op.outputs))
    return replace(graph, tensors=tuple(tensors), ops=tuple(ops))
