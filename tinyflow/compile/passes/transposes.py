"""TRANSPOSEs cancel, or move behind the operators that do not mind until they do.

An element-wise operator, CONCATENATION, PAD, MEAN, STRIDED_SLICE or SOFTMAX of transposed tensors is the transposed
result of the same operator on the tensors themselves, with its axes renamed. Each such move is tried with all moves
that it makes possible behind it, and kept if fewer bytes are transposed in the end. A TRANSPOSE that a fully connected
layer reads (flattened or not) goes into the order of its weights.
"""

from dataclasses import replace

import numpy as np

from tinyflow.compile.graph import Graph, Op, live
from tinyflow.compile.operators import facts, named
from tinyflow.compile.operators.axes import Order, inverse
from tinyflow.compile.passes.draft import Draft

TRANSPOSE, RESHAPE, FULLY_CONNECTED = named("TRANSPOSE"), named("RESHAPE"), named("FULLY_CONNECTED")


def sink_transposes(graph: Graph) -> Graph:
    if not any(op.kind == TRANSPOSE for op in graph.ops):
        return graph
    graph, before = _settled(graph), None
    while graph is not before:
        before = graph
        for op in before.ops:
            tried = _sunk(graph, op.outputs[0])
            graph = tried if _bytes(tried) < _bytes(graph) else graph
    return graph


def _sunk(graph: Graph, output: int) -> Graph:
    """The TRANSPOSEs before the operator that makes ``output`` behind it, and behind all others that then read only
    such.
    """
    first = _moved_behind(graph, output)
    if first is None:
        return graph
    graph = _settled(first)
    for later in [op.outputs[0] for op in graph.ops]:
        draft = Draft(graph)
        op = draft.maker(later)
        if (
            op is not None
            and facts(op).renamed is not None
            and all(_transposed(draft, index) or draft.tensors[index].constant for index in facts(op).inputs(op))
        ):
            moved = _moved_behind(graph, later)
            graph = graph if moved is None else _settled(moved)
    return graph


def _bytes(graph: Graph) -> int:
    return sum(graph.tensor(op.outputs[0]).bytes for op in graph.ops if op.kind == TRANSPOSE)


def _order(draft: Draft, op: Op | None) -> Order | None:
    """The permutation of a TRANSPOSE, if that is what ``op`` is."""
    if op is None or op.kind != TRANSPOSE or not draft.tensors[op.inputs[1]].constant:
        return None
    order = tuple(int(axis) for axis in draft.tensors[op.inputs[1]].values.reshape(-1))
    return order if sorted(order) == list(range(len(draft.tensors[op.inputs[0]].shape))) else None


def _transposed(draft: Draft, index: int) -> Order | None:
    return _order(draft, draft.maker(index))


def _transpose(draft: Draft, source: int, order: Order) -> int:
    """A new tensor: ``source`` transposed. The caller puts in the operator, unless it is constant."""
    tensor = draft.tensors[source]
    shape = tuple(tensor.shape[axis] for axis in order)
    data = tensor.values.transpose(order) if tensor.constant else None
    return draft.add(replace(tensor, name=f"{tensor.name} (transposed)", shape=shape, data=data))


def _moved_behind(graph: Graph, made: int) -> Graph | None:
    """The TRANSPOSEs that the operator which makes ``made`` reads, behind it. None where there are none, or it would
    differ.
    """
    draft = Draft(graph)
    op, output = draft.maker(made), draft.tensors[made]
    rule = facts(op).renamed if op is not None else None
    if op is None or rule is None:
        return None
    maps = facts(op).inputs(op)
    order = next((found for index in maps if (found := _transposed(draft, index)) is not None), None)
    if order is None or not all(
        len(draft.tensors[index].shape) == len(order) or draft.tensors[index].elements == 1 for index in maps
    ):
        return None
    changed = rule(graph, op, order)
    if changed is None:
        return None
    parameters = [
        index if values is None else draft.constant(draft.tensors[index].name, values)
        for index, values in changed.parameters
    ]
    before, inputs = [], []
    for index in maps:
        if draft.tensors[index].elements == 1:
            inputs.append(index)
        elif (maker := draft.maker(index)) is not None and _order(draft, maker) == order:
            inputs.append(maker.inputs[0])
        else:
            inputs.append(_transpose(draft, index, inverse(order)))
            if not draft.tensors[index].constant:
                axes = draft.constant(f"{output.name}/order", np.array(inverse(order), np.int32))
                before.append(Op(TRANSPOSE, (index, axes), (inputs[-1],)))
    made = _transpose(draft, made, inverse(changed.behind))
    axes = draft.constant(f"{output.name}/order", np.array(changed.behind, np.int32))
    after = Op(TRANSPOSE, (made, axes), op.outputs)
    draft.put(
        op, [*before, replace(op, inputs=(*inputs, *parameters), outputs=(made,), options=changed.options), after]
    )
    return draft.graph()


def _settled(graph: Graph) -> Graph:
    """TRANSPOSEs of TRANSPOSEs become one or none; those before fully connected layers go into
    weights; dead ones go.
    """
    draft = Draft(graph)
    for second in graph.ops:
        first = draft.maker(second.inputs[0]) if _order(draft, second) is not None else None
        before, behind = _order(draft, first), _order(draft, second)
        if first is not None and before is not None and behind is not None:
            order = np.array([before[axis] for axis in behind], np.int32)
            axes = draft.constant(draft.tensors[second.inputs[1]].name, order)
            draft.put(second, [replace(second, inputs=(first.inputs[0], axes))])
    for output in [op.outputs[0] for op in draft.ops]:
        op = draft.maker(output)
        if op is None:
            continue
        same = _order(draft, op) == tuple(range(len(draft.tensors[op.inputs[0]].shape)))
        if same and draft.alike(op.inputs[0], op.outputs[0]):
            draft.bypass(op)
        elif op.kind == FULLY_CONNECTED:
            _into_weights(draft, op)
    graph = draft.graph()
    return replace(graph, ops=tuple(graph.ops[position] for position in live(graph.ops, graph.outputs)))


def _into_weights(draft: Draft, op: Op) -> None:
    """A fully connected layer of a transposed map, one row a batch, on the map itself."""
    view = draft.maker(op.inputs[0])
    transpose = draft.maker(view.inputs[0]) if view is not None and view.kind == RESHAPE else view
    order, weights = _order(draft, transpose), draft.tensors[op.inputs[1]]
    if transpose is None or order is None or not weights.constant or len(weights.shape) != 2:
        return
    source = draft.tensors[transpose.inputs[0]]
    if source.elements != weights.shape[1] or not draft.alike(transpose.inputs[0], op.inputs[0]):
        return
    shape = [source.shape[axis] for axis in order]
    data = (
        weights.values.reshape(-1, *shape).transpose(0, *(1 + axis for axis in inverse(order))).reshape(weights.shape)
    )
    index = draft.constant(weights.name, np.ascontiguousarray(data), weights.quantization)
    flat = draft.add(replace(source, name=f"{source.name} (flat)", shape=(1, source.elements)))
    draft.put(op, [Op(RESHAPE, transpose.inputs[:1], (flat,)), replace(op, inputs=(flat, index, *op.inputs[2:]))])
