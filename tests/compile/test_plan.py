"""The memory plan: no live byte is ever overwritten, whatever the graph; and it is tight."""

import random
from unittest.mock import patch

import pytest
from bit_exact import compile_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from model_zoo import MODELS, every_operator

from tinyflow.compile.buffers import SCRATCH_ALIGNMENT, TENSOR_ALIGNMENT
from tinyflow.compile.graph import Graph, Op, Tensor
from tinyflow.compile.needs import Needs
from tinyflow.compile.operators import NEEDS, needs
from tinyflow.compile.passes import run_passes
from tinyflow.compile.plan import plan_memory
from tinyflow.compile.shape_graph import shape_graph
from tinyflow.compile.tflite import parse_tflite
from tinyflow.errors import TinyflowError
from tinyflow.search.random_genotype import random_genotype

# Kinds of operator as the planner sees them: what their kernels need.
KINDS = {
    "COPIES": lambda graph, op: Needs(),
    "ONE BY ONE": lambda graph, op: Needs(in_place=tuple(range(len(op.inputs)))),
    "SHRINKS OR GROWS": lambda graph, op: Needs(in_place=(0,), scratch=24),
    "WIDENS": lambda graph, op: Needs(scratch=100),
}


@pytest.fixture(autouse=True, scope="module")
def kinds():
    with patch.dict(NEEDS, KINDS):
        yield


@st.composite
def graphs(draw):
    """Random dataflow of kernels of every need, views and concatenations, placed or not."""
    rng = random.Random(draw(st.integers(0, 2**32 - 1)))
    tensors, ops, whole = [Tensor("input", (rng.choice((16, 40, 100)),), "int8")], [], [True]  # whole: not yet placed in another
    for number in range(draw(st.integers(1, 25))):
        kind = rng.choice((*KINDS, "RESHAPE", "CONCATENATION"))
        first = rng.randrange(len(tensors)) if rng.random() < 0.4 else len(tensors) - 1
        inputs, options, size = [first], {}, tensors[first].elements
        if kind in ("ONE BY ONE", "CONCATENATION"):
            others = [i for i, tensor in enumerate(tensors) if kind == "CONCATENATION" or tensor.elements == size]
            inputs += rng.sample(others, min(len(others), rng.randrange(1, 4)))
        if kind == "CONCATENATION":
            size = sum(tensors[index].elements for index in inputs)
            if len(set(inputs)) == len(inputs) and all(whole[i] for i in inputs) and not any(op.kind == "RESHAPE" and {*op.inputs, *op.outputs} & {*inputs} for op in ops):
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
    values: dict[int, list] = {}  # tensor -> what its bytes must hold: a view holds its input's, a concatenation those of its inputs

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
        for index in inputs:  # only where the kernel says so may it write over an input, and then from its first byte on
            assert not _meet(span(output), span(index)) or (offsets[index] == offsets[output] and offsets[output] in over), op
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


def check(graph: Graph):
    plan = plan_memory(graph)
    simulate(graph, plan.offsets, plan.scratch, plan.arena_bytes)
    assert plan.bound_bytes <= plan.arena_bytes
    return plan


@given(graphs())
@settings(max_examples=400, derandomize=True, deadline=None, database=None)
def test_no_live_byte_is_overwritten(graph):
    assert set(check(graph).offsets) == set(range(len(graph.tensors)))


@given(graphs(), st.integers(0, 2**32 - 1))
@settings(max_examples=100, derandomize=True, deadline=None, database=None)
def test_the_simulation_notices_an_overlap(graph, seed):
    """The judge of the test above can say no: a result laid over an input that its kernel may not write over."""
    plan, rng = plan_memory(graph), random.Random(seed)
    strict = [op for op in graph.ops if op.kind in ("COPIES", "WIDENS")]
    if strict:
        op = rng.choice(strict)
        with pytest.raises(AssertionError):
            simulate(graph, plan.offsets | {op.outputs[0]: plan.offsets[op.inputs[0]]}, plan.scratch, plan.arena_bytes + 4000)


@pytest.mark.parametrize("name", MODELS)
def test_zoo(name):
    plan = check(run_passes(parse_tflite(MODELS[name][0](), name)))
    assert plan.arena_bytes <= 1.02 * plan.bound_bytes + 16


@pytest.mark.parametrize("seed", range(12))
def test_random_genotypes(seed):
    rng = random.Random(seed)
    check(run_passes(shape_graph(random_genotype(rng, channels=rng.choice((4, 16)), operations=rng.choice(("darts", "mcu"))))))


def test_deterministic_and_lifetimes():
    graph = run_passes(parse_tflite(every_operator(), "all"))
    first, second = check(graph), plan_memory(graph)
    assert first == second
    for index, (start, end) in first.lifetimes.items():
        users = [step for step, op in enumerate(graph.ops) if index in (*op.inputs, *op.outputs)]
        assert not users or start <= users[0] and users[-1] <= end


def bytes_of(*sizes: int) -> tuple[Tensor, ...]:
    return tuple(Tensor(f"t{number}", (size,), "int8") for number, size in enumerate(sizes))


def test_in_place_needs_no_second_map():
    ops = tuple(Op("ONE BY ONE", (i,), (i + 1,)) for i in range(3))
    plan = check(Graph("chain", bytes_of(1000, 1000, 1000, 1000), ops, (0,), (3,)))
    assert plan.arena_bytes == plan.bound_bytes == 1000


def test_in_place_of_another_size():
    """The buffer is as large as the larger; what it no longer uses is free for others."""
    ops = (Op("SHRINKS OR GROWS", (0,), (1,)), Op("SHRINKS OR GROWS", (1,), (2,)), Op("WIDENS", (2,), (3,)))
    plan = check(Graph("waves", bytes_of(100, 40, 1000, 8), ops, (0,), (3,)))
    assert plan.bound_bytes == 1000 + 8 + 100 and plan.offsets[0] == plan.offsets[1] == plan.offsets[2]


def test_an_input_that_is_read_later_stays():
    ops = (Op("ONE BY ONE", (0,), (1,)), Op("ONE BY ONE", (0, 1), (2,)))
    plan = check(Graph("residual", bytes_of(100, 100, 100), ops, (0,), (2,)))
    assert plan.arena_bytes == plan.bound_bytes == 200


def test_a_view_keeps_its_tensor():
    """The view is read after its tensor: whoever reads the tensor last may not write over it."""
    ops = (Op("COPIES", (0,), (1,)), Op("RESHAPE", (1,), (2,)), Op("ONE BY ONE", (1,), (3,)), Op("ONE BY ONE", (2, 3), (4,)))
    assert check(Graph("view", bytes_of(8, 100, 100, 100, 100), ops, (0,), (4,))).arena_bytes == 200


def test_placed_concatenation():
    """Its inputs are parts of its output; the part not yet written is free for others."""
    ops = (
        Op("WIDENS", (0,), (1,)),  # t1: 300 B, the first part
        Op("COPIES", (0,), (2,)),  # t2: 200 B, gone before the second part is written
        Op("COPIES", (2,), (3,)),  # t3: 10 B
        Op("SHRINKS OR GROWS", (3,), (4,)),  # t4: 200 B, the second part, in place of t3
        Op("CONCATENATION", (1, 4), (5,), {"placed": True}),
        Op("ONE BY ONE", (5,), (6,)),
    )
    plan = check(Graph("parts", bytes_of(10, 300, 200, 10, 200, 500, 500), ops, (0,), (6,)))
    assert plan.offsets[1] == plan.offsets[5] == plan.offsets[6] and plan.offsets[3] == plan.offsets[4] == plan.offsets[5] + 300
    assert plan.arena_bytes < 300 + 200 + 200


def test_what_cannot_be_placed_is_refused():
    twice = Graph("twice", bytes_of(10, 10, 20), (Op("COPIES", (0,), (1,)), Op("CONCATENATION", (1, 1), (2,), {"placed": True})), (0,), (2,))
    with pytest.raises(TinyflowError, match="'t1' cannot be placed in 't2'"):
        plan_memory(twice)


def test_picture(tmp_path):
    plan = plan_memory(run_passes(parse_tflite(every_operator(), "all")))
    plan.picture(tmp_path / "arena.png")
    assert (tmp_path / "arena.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_layers_say_where_their_outputs_lie(tmp_path):
    model = compile_bytes(every_operator(), tmp_path)
    plan = plan_memory(run_passes(parse_tflite(every_operator(), "all")))
    assert all(layer.offset == plan.offsets[layer.tensor] for layer in model.layers)
