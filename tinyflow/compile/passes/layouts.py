"""Which activations lie channel after channel (planar), and the LAYOUT operators between the two worlds.

A depthwise convolution wants planes; a general convolution wants the channels of a pixel side by side; much else takes
either, so long as all its maps are alike. Each tensor gets the layout in which it is made; readers that want the other
share one copy. Which layouts cost least is a minimum cut: the NHWC world on the source's side, the planar one on the
sink's, conversions the edges between.
"""

from collections.abc import Hashable
from dataclasses import replace

from tinyflow.compile.graph import Graph, Op, Tensor
from tinyflow.compile.needs import FREE, NHWC, NHWC_IN, PLANAR, SAME
from tinyflow.compile.operators import facts, named, needs
from tinyflow.compile.passes.cut import FOREVER, Cut

LAYOUT, CONCATENATION = named("LAYOUT"), named("CONCATENATION")
CONVERT, COPY = 4, 1  # per byte: a transposing copy; the copy that a CONCATENATION of planes saves (passes/placed.py)
Node = tuple[str, int]  # of the cut
ALIKE = 1  # in all, where an operator could do with one layout and so perhaps work in place


def choose_layouts(graph: Graph) -> Graph:
    """Marks planar tensors; where an operator wants the other layout, it reads a copy that a LAYOUT operator makes."""
    if any(op.kind == LAYOUT for op in graph.ops):
        return graph
    planar = _planar(graph)
    tensors = [replace(tensor, planar=("tensor", index) in planar) for index, tensor in enumerate(graph.tensors)]
    ops: list[Op] = []
    copies: dict[int, int] = {}  # tensor -> the same in the other layout

    def copy(index: int) -> int:
        wanted = not tensors[index].planar
        tensors.append(
            replace(tensors[index], name=f"{tensors[index].name} ({'planar' if wanted else 'NHWC'})", planar=wanted)
        )
        copies[index] = len(tensors) - 1
        return copies[index]

    for position, op in enumerate(graph.ops):
        inputs = list(op.inputs)
        for place, index in enumerate(op.inputs):
            wish = _wish(graph, position, op, index, output=False)
            if wish is None or (wish in planar if isinstance(wish, tuple) else wish) == tensors[index].planar:
                continue
            if index not in copies:
                ops.append(Op(LAYOUT, (index,), (copy(index),)))
            inputs[place] = copies[index]
        ops.append(replace(op, inputs=tuple(inputs)))
        (output,) = op.outputs
        if (
            output in graph.outputs and tensors[output].planar
        ):  # the network's outputs are NHWC: what is made is the copy
            tensors[output] = replace(tensors[output], planar=False)
            ops[-1] = replace(ops[-1], outputs=(copy(output),))
            ops.append(Op(LAYOUT, (copies[output],), (output,)))
    return replace(graph, tensors=tuple(tensors), ops=tuple(ops))


def either(tensor: Tensor) -> bool:
    """Whether both layouts are the same bytes, or the question does not arise."""
    return len(tensor.shape) != 4 or tensor.constant or tensor.shape[3] == 1 or tensor.shape[1] * tensor.shape[2] == 1


def _wish(graph: Graph, position: int, op: Op, index: int, output: bool) -> bool | Node | None:
    """Whether ``op`` wants that input, or makes that output, planar; None: as it comes; a node of the cut: as all its
    maps.
    """
    if index < 0 or either(graph.tensor(index)):
        return None
    layout = NHWC if facts(op).view else needs(graph, op).layout
    if graph.tensor(index).shape[0] != 1:
        return False
    if layout == FREE or layout == NHWC_IN and output:
        return None
    return ("operator", position) if layout == SAME else layout == PLANAR


def _planar(graph: Graph) -> set[Hashable]:
    """The nodes of the cut on the planar side: ("tensor", index), ("operator", position) of those that take either."""
    cut = Cut()
    for index in (*graph.inputs, *graph.outputs):
        cut.edge(
            cut.SOURCE, ("tensor", index), FOREVER if index in graph.inputs else CONVERT * graph.tensor(index).bytes
        )
    for position, op in enumerate(graph.ops):
        for index in dict.fromkeys(op.inputs):
            wish = _wish(graph, position, op, index, output=False)
            if wish is not None:
                _reads(cut, index, wish, CONVERT * graph.tensor(index).bytes)
        for index in op.outputs:
            wish, tensor = _wish(graph, position, op, index, output=True), ("tensor", index)
            if isinstance(wish, tuple):
                cut.edge(wish, tensor, FOREVER)
                cut.edge(tensor, wish, FOREVER)
                if op.kind == CONCATENATION:
                    cut.edge(wish, cut.SINK, COPY * graph.tensor(index).bytes)
            elif wish is not None:
                cut.edge(tensor, cut.SINK, FOREVER) if wish else cut.edge(cut.SOURCE, tensor, FOREVER)
        if not either(graph.tensor(op.outputs[0])) and needs(graph, op).layout == FREE:
            source, tensor = ("tensor", op.inputs[0]), ("tensor", op.outputs[0])
            cut.edge(source, tensor, ALIKE)
            cut.edge(tensor, source, ALIKE)
    return cut.sink_side()


def _reads(cut: Cut, index: int, wish: bool | Node, price: int) -> None:
    """All readers that want planes share one copy, if the tensor is made NHWC, and the other way round."""
    tensor, planes, pixels = ("tensor", index), ("planes of", index), ("pixels of", index)
    reader = wish if isinstance(wish, tuple) else cut.SINK if wish else cut.SOURCE
    if reader != cut.SOURCE:
        cut.edge(planes, reader, FOREVER)
        cut.edge(tensor, planes, price, once=True)
    if reader != cut.SINK:
        cut.edge(reader, pixels, FOREVER)
        cut.edge(pixels, tensor, price, once=True)
