"""Which activations lie channel after channel (planar), and the LAYOUT operators between the two worlds.

A depthwise convolution wants planes; a general convolution wants the channels of a pixel side by side; much else takes
either. Tensors that an operator wants alike form a group, and each group gets the layout that its most bytes want.
"""

from collections.abc import Iterator
from dataclasses import replace

from tinyflow.compile.graph import VIEWS, Graph, Op, Tensor
from tinyflow.compile.needs import FREE, NHWC, NHWC_IN, PLANAR, SAME
from tinyflow.compile.operators import needs


def choose_layouts(graph: Graph) -> Graph:
    """Marks planar tensors; where an operator wants the other layout, a LAYOUT operator with a new tensor stands before it."""
    group = _groups(graph)
    votes: dict[int, int] = {}  # of a group: bytes that want planes, less those that do not
    for op in graph.ops:
        for index, planar in _wishes(graph, op):
            votes[group[index]] = votes.get(group[index], 0) + (graph.tensor(index).bytes if planar else -graph.tensor(index).bytes)
    for index in (*graph.inputs, *graph.outputs):
        if index in group:
            votes[group[index]] = -(1 << 62)
    planar = {index for index, root in group.items() if votes.get(root, 0) > 0}
    tensors = [replace(tensor, planar=index in planar) for index, tensor in enumerate(graph.tensors)]
    ops: list[Op] = []
    for op in graph.ops:
        inputs, outputs, after = list(op.inputs), list(op.outputs), []
        for index, wanted in _wishes(graph, op):
            if (index in planar) == wanted:
                continue
            copy = len(tensors)
            tensors.append(replace(tensors[index], name=f"{tensors[index].name} ({'planar' if wanted else 'NHWC'})", planar=wanted))
            if index in op.outputs:
                outputs = [copy if output == index else output for output in outputs]
                after.append(Op("LAYOUT", (copy,), (index,)))
            else:
                inputs = [copy if source == index else source for source in inputs]
                ops.append(Op("LAYOUT", (index,), (copy,)))
        ops += [replace(op, inputs=tuple(inputs), outputs=tuple(outputs)), *after]
    return replace(graph, tensors=tuple(tensors), ops=tuple(ops))


def either(tensor: Tensor) -> bool:
    """Whether both layouts are the same bytes, or the question does not arise."""
    return len(tensor.shape) != 4 or tensor.constant or tensor.shape[3] == 1 or tensor.shape[1] * tensor.shape[2] == 1


def _activations(graph: Graph, op: Op) -> list[int]:
    return [index for index in dict.fromkeys((*op.inputs, *op.outputs)) if index >= 0 and not either(graph.tensor(index))]


def _wishes(graph: Graph, op: Op) -> Iterator[tuple[int, bool]]:
    """(tensor, planar) for each activation on whose layout ``op`` insists."""
    layout = NHWC if op.kind in VIEWS else needs(graph, op).layout
    for index in _activations(graph, op):
        if graph.tensor(index).shape[0] != 1 and layout != SAME:
            yield index, False
        elif layout in (NHWC, PLANAR):
            yield index, layout == PLANAR
        elif layout == NHWC_IN and index in op.inputs:
            yield index, False


def _groups(graph: Graph) -> dict[int, int]:
    """Tensor -> representative of the tensors that must share its layout."""
    parent: dict[int, int] = {}

    def find(index: int) -> int:
        while parent.setdefault(index, index) != index:
            index = parent[index]
        return index

    for index in (*graph.inputs, *graph.outputs):
        if not either(graph.tensor(index)):
            find(index)
    for op in graph.ops:
        activations = _activations(graph, op)
        for index in activations:
            find(index)
            if op.kind not in VIEWS and needs(graph, op).layout == SAME:
                parent[find(index)] = find(activations[0])
    return {index: find(index) for index in parent}
