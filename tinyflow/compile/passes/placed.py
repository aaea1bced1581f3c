"""CONCATENATION by placement: its inputs are made where they belong, inside its output, and nothing is left to compute.

So it is where each input is one run of bytes of the output: along channels of planar maps, or along the first axis
longer than 1. The memory plan reads ``Op.placed``. What cannot be made there (a constant, an input of the network, a
tensor that has its place already) is copied by a CONCATENATION of its own.
"""

from dataclasses import replace

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.operators import facts, named
from tinyflow.compile.passes.draft import Draft
from tinyflow.compile.passes.layouts import either

CONCATENATION = named("CONCATENATION")
LARGEST = 10  # TFLM's inputs of a CONCATENATION: more are refused


def place_concatenations(graph: Graph) -> Graph:
    draft, placed = Draft(graph), set()
    source = {op.outputs[0]: op.inputs[0] for op in graph.ops if facts(op).view}
    produced = {op.outputs[0] for op in graph.ops}

    def content(index: int) -> int:
        while index in source:
            index = source[index]
        return index

    for op in graph.ops:
        if op.kind != CONCATENATION or op.placed or len(op.inputs) < 2 or not _contiguous(graph, op):
            continue
        inputs, before = [], []
        for index in op.inputs:
            home = content(index)
            if home not in produced or home in placed or {index, home} & set(graph.outputs):
                copy = draft.add(replace(graph.tensor(index), name=f"{graph.tensor(index).name} (copy)", data=None))
                before.append(replace(op, inputs=(index,), outputs=(copy,)))
                index = home = copy
            placed.add(home)
            inputs.append(index)
        draft.put(op, [*before, replace(op, inputs=tuple(inputs), options=op.options | {"placed": True})])
    return draft.graph()


def _contiguous(graph: Graph, op: Op) -> bool:
    """Whether each input is one run of the output's bytes, on the output's scale, and nothing is done to it."""
    output, tensors = graph.tensor(op.outputs[0]), [graph.tensor(index) for index in op.inputs]
    rank = len(output.shape)
    if op.options["activation"] != "NONE" or not -rank <= op.options["axis"] < rank or len(op.inputs) > LARGEST:
        return False
    axis = op.options["axis"] % rank
    sizes = {
        tensor.shape[:axis] + tensor.shape[axis + 1 :] for tensor in (*tensors, output) if len(tensor.shape) == rank
    }
    if len(sizes) != 1 or not all(tensor.alike(output) for tensor in tensors):
        return False
    if output.planar:
        return axis == 3 and all(tensor.planar or either(tensor) for tensor in tensors)
    return all(size == 1 for size in output.shape[:axis]) and not any(tensor.planar for tensor in tensors)
