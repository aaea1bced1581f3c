"""The order of operators: never more alive than need be, the same answers, fast."""

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from plan_simulator import KINDS, bytes_of, graphs, simulate

from tinyflow.compile.buffers import live_bytes
from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.operators import OPERATORS
from tinyflow.compile.order import Orders, order_operators
from tinyflow.compile.plan import plan_memory
from tinyflow.network.shape_graph import shape_graph
from tinyflow.search.random_genotype import random_genotype


@pytest.fixture(autouse=True, scope="module")
def kinds():
    with patch.dict(OPERATORS, KINDS):
        yield


def every_order(graph: Graph) -> Iterator[Graph]:
    def extend(chosen: list[Op], known: set[int]) -> Iterator[Graph]:
        left = [op for op in graph.ops if op not in chosen]
        if not left:
            yield replace(graph, ops=tuple(chosen))
        for op in left:
            if set(op.inputs) <= known:
                yield from extend([*chosen, op], known | set(op.outputs))

    yield from extend([], set(graph.inputs))


def least(graph: Graph) -> int:
    """Of the bytes alive at the worst step, the fewest that any order reaches."""
    return min(max(live_bytes(other)) for other in every_order(graph))


@given(graphs(8))
@settings(max_examples=150, derandomize=True, deadline=None, database=None)
def test_no_order_keeps_less_alive(graph):
    found = Orders(graph).smallest()
    assert sorted(found) == list(range(len(graph.ops)))
    assert max(live_bytes(replace(graph, ops=tuple(graph.ops[step] for step in found)))) == least(graph)


@given(graphs())
@settings(max_examples=60, derandomize=True, deadline=None, database=None)
def test_ordered_graphs_run(graph):
    ordered = order_operators(graph)
    before, plan = plan_memory(graph), plan_memory(ordered)
    assert plan.arena_bytes <= before.arena_bytes
    assert sorted(map(id, ordered.ops)) == sorted(map(id, graph.ops)) and ordered.tensors == graph.tensors
    simulate(ordered, plan.offsets, plan.scratch, plan.arena_bytes)


def test_a_wide_branch_runs_before_a_narrow_one_waits():
    """Breadth first keeps both wide maps alive; depth first one at a time."""
    ops = (
        Op("COPIES", (0,), (1,)),
        Op("COPIES", (0,), (2,)),
        Op("COPIES", (1,), (3,)),
        Op("COPIES", (2,), (4,)),
        Op("ONE BY ONE", (3, 4), (5,)),
    )
    graph = Graph("branches", bytes_of(8, 1000, 1000, 8, 8, 8), ops, (0,), (5,))
    assert plan_memory(graph).arena_bytes > 2000 and plan_memory(order_operators(graph)).arena_bytes < 1100


def test_an_order_that_is_as_good_stays():
    ops = tuple(Op("COPIES", (i,), (i + 1,)) for i in range(200))
    chain = Graph("chain", bytes_of(*([100] * 201)), ops, (0,), (200,))
    start = time.process_time()
    assert order_operators(chain) is chain
    assert time.process_time() - start < 2, "0.2 s of an idle core"


@pytest.mark.parametrize("seed", range(4))
def test_a_genotype_in_seconds(seed):
    rng = random.Random(seed)
    graph = shape_graph(random_genotype(rng, channels=16, cells=4))
    start = time.process_time()
    ordered = order_operators(graph)
    plan = plan_memory(ordered)
    assert time.process_time() - start < 6, "0.1 to 1.2 s of an idle core"
    simulate(ordered, plan.offsets, plan.scratch, plan.arena_bytes)


def test_a_search_without_end_stops_with_an_order():
    """Twenty branches that all grow: far more sets than the budget."""
    rng, ops, sizes = random.Random(0), [], [8]
    for _ in range(20):
        sizes += [rng.randrange(50, 100), rng.randrange(100, 200), rng.randrange(300, 400)]
        first = len(sizes) - 3
        ops += [
            Op("COPIES", (0,), (first,)),
            Op("COPIES", (first,), (first + 1,)),
            Op("COPIES", (first + 1,), (first + 2,)),
        ]
    ops.append(Op("COPIES", tuple(range(3, len(sizes), 3)), (len(sizes),)))
    graph = Graph("broom", bytes_of(*sizes, 8), tuple(ops), (0,), (len(sizes),))
    found = Orders(graph).smallest()
    assert sorted(found) == list(range(len(ops)))
    assert max(live_bytes(replace(graph, ops=tuple(ops[step] for step in found)))) <= max(live_bytes(graph))
