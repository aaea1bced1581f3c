"""What a memory plan promises, played step by step; and random graphs to plan."""

import random
from dataclasses import replace

from hypothesis import strategies as st

from tinyflow.compile.buffers import SCRATCH_ALIGNMENT, TENSOR_ALIGNMENT
from tinyflow.compile.graph import Graph, Op, Tensor
from tinyflow.compile.needs import Needs
from tinyflow.compile.operators import OPERATORS, needs

# Kinds of operator as the planner sees them: what their kernels need.
NEEDS = {
    "COPIES": lambda graph, op: Needs(),
    "ONE BY ONE": lambda graph, op: Needs(in_place=tuple(range(len(op.inputs)))),
    "SHRINKS OR GROWS": lambda graph, op: Needs(in_place=(0,), scratch=24),
    "WIDENS": lambda graph, op: Needs(scratch=100),
}
KINDS = {kind: replace(OPERATORS["LAYOUT"], kind=kind, needs=needs) for kind, needs in NEEDS.items()}


def bytes_of(*sizes: int) -> tuple[Tensor, ...]:
    return tuple(Tensor(f"t{number}", (size,), "int8") for number, size in enumerate(sizes))


@st.composite
def graphs(draw, most=25):
    """Random dataflow of kernels of every need, views and concatenations, placed or not."""
    rng = random.Random(draw(st.integers(0, 2**32 - 1)))
    # whole: not yet placed in another
    tensors, ops, whole = (
        [Tensor("input", (rng.choice((16, 40, 100)),), "int8")],
        [],
        [True],
    )
    for number in range(draw(st.integers(1, most))):
        kind = rng.choice((*KINDS, "RESHAPE", "CONCATENATION"))
        first = rng.randrange(len(tensors)) if rng.random() < 0.4 else len(tensors) - 1
        inputs, options, size = [first], {}, tensors[first].elements
        if kind in ("ONE BY ONE", "CONCATENATION"):
            others = [i for i, tensor in enumerate(tensors) if kind == "CONCATENATION" or tensor.elements == size]
            inputs += rng.sample(others, min(len(others), rng.randrange(1, 4)))
        if kind == "CONCATENATION":
            size = sum(tensors[index].elements for index in inputs)
            if (
                len(set(inputs)) == len(inputs)
                and all(whole[i] for i in inputs)
                and not any(op.kind == "RESHAPE" and {*op.inputs, *op.outputs} & {*inputs} for op in ops)
            ):
                options = {"placed": True}
                for index in inputs:
                    whole[index] = False
        elif kind in ("COPIES", "WIDENS", "SHRINKS OR GROWS"):
            size = rng.choice((7, 16, 40, 100, 333))
        whole.append(kind != "RESHAPE")
        if kind == "RESHAPE":
            whole[first] = False
        tensors.append(Tensor(f"t{number}", (size,), "int8"))
        ops.append(Op(kind, tuple(inputs), (len(tensors) - 1,), options))
    outputs = tuple(sorted({len(tensors) - 1, *rng.sample(range(len(tensors)), rng.randrange(2))}))
    return Graph("random", tuple(tensors), tuple(ops), (0,), outputs)


def simulate(graph: Graph, offsets: dict[int, int], scratch: dict[int, int], arena_bytes: int) -> None:
    """Every byte of the arena remembers which byte of which value it holds; an operator must find its inputs whole."""
    arena: list = [None] * arena_bytes
    values: dict[
        int, list
    ] = {}  # tensor -> what its bytes must hold: a view holds its input's, a concatenation those of its inputs

    def span(tensor: int) -> range:
        return range(offsets[tensor], offsets[tensor] + graph.tensor(tensor).bytes)

    def write(tensor: int) -> None:
        assert 0 <= offsets[tensor] and span(tensor).stop <= arena_bytes
        values[tensor] = [(tensor, byte) for byte in range(graph.tensor(tensor).bytes)]
        arena[span(tensor).start : span(tensor).stop] = values[tensor]

    def check(tensor: int) -> None:
        assert arena[span(tensor).start : span(tensor).stop] == values[tensor], f"{tensor} was overwritten"

    for index in graph.inputs:
        assert offsets[index] % TENSOR_ALIGNMENT == 0, "the application writes words"
        write(index)
    for op in graph.ops:
        inputs = [index for index in op.inputs if index in offsets]
        for index in inputs:
            check(index)
        output, need = op.outputs[0], needs(graph, op)
        if op.kind == "RESHAPE" or op.placed:
            values[output] = [byte for index in inputs for byte in values[index]]
            check(output)
            continue
        over = {offsets[op.inputs[position]] for position in need.in_place if op.inputs[position] in offsets}
        for (
            index
        ) in inputs:  # only where the kernel says so may it write over an input, and then from its first byte on
            assert not _meet(span(output), span(index)) or (
                offsets[index] == offsets[output] and offsets[output] in over
            ), op
        if need.scratch:
            room = range(scratch[output], scratch[output] + need.scratch)
            assert room.start % SCRATCH_ALIGNMENT == 0 and room.stop <= arena_bytes
            assert not any(_meet(room, span(index)) for index in (*inputs, output)), op
            arena[room.start : room.stop] = ["scratch"] * len(room)
        write(output)
    for index in graph.outputs:
        check(index)


def _meet(a: range, b: range) -> bool:
    return a.start < b.stop and b.start < a.stop
