"""The memory plan: no live byte is ever overwritten, whatever the graph; and it is tight."""

import random
from dataclasses import replace
from unittest.mock import patch

import pytest
from bit_exact import compile_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from model_zoo import MODELS, every_operator
from plan_simulator import KINDS, bytes_of, graphs, simulate

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.operators import OPERATORS
from tinyflow.compile.passes import run_passes
from tinyflow.compile.plan import plan_memory
from tinyflow.compile.tflite import parse_tflite
from tinyflow.errors import TinyflowError
from tinyflow.network.shape_graph import shape_graph
from tinyflow.search.random_genotype import random_genotype


@pytest.fixture(autouse=True, scope="module")
def kinds():
    with patch.dict(OPERATORS, KINDS):
        yield


def check(graph: Graph):
    plan = plan_memory(graph)
    simulate(graph, plan.offsets, plan.scratch, plan.arena_bytes)
    assert plan.bound_bytes <= plan.arena_bytes
    return plan


@given(graphs())
@settings(max_examples=300, derandomize=True, deadline=None, database=None)
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
            simulate(
                graph, plan.offsets | {op.outputs[0]: plan.offsets[op.inputs[0]]}, plan.scratch, plan.arena_bytes + 4000
            )


@pytest.mark.parametrize("name", MODELS)
def test_zoo(name):
    plan = check(run_passes(parse_tflite(MODELS[name][0](), name)))
    assert plan.arena_bytes <= 1.02 * plan.bound_bytes + 16


@pytest.mark.parametrize("seed", range(12))
def test_random_genotypes(seed):
    rng = random.Random(seed)
    check(
        run_passes(
            shape_graph(random_genotype(rng, channels=rng.choice((4, 16)), operations=rng.choice(("darts", "mcu"))))
        )
    )


def test_deterministic_and_lifetimes():
    graph = run_passes(parse_tflite(every_operator(), "all"))
    first, second = check(graph), plan_memory(replace(graph))
    assert first == second
    for index, (start, end) in first.lifetimes.items():
        users = [step for step, op in enumerate(graph.ops) if index in (*op.inputs, *op.outputs)]
        assert not users or start <= users[0] and users[-1] <= end


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
    ops = (
        Op("COPIES", (0,), (1,)),
        Op("RESHAPE", (1,), (2,)),
        Op("ONE BY ONE", (1,), (3,)),
        Op("ONE BY ONE", (2, 3), (4,)),
    )
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
    assert plan.offsets[1] == plan.offsets[5] and plan.offsets[4] == plan.offsets[5] + 300
    assert plan.bound_bytes <= plan.arena_bytes < 300 + 200 + 200


def test_what_cannot_be_placed_is_refused():
    twice = Graph(
        "twice",
        bytes_of(10, 10, 20),
        (Op("COPIES", (0,), (1,)), Op("CONCATENATION", (1, 1), (2,), {"placed": True})),
        (0,),
        (2,),
    )
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
