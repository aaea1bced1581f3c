"""The order of operators in which least is alive at once.

Which values are alive depends on the set of operators that have run, not on their order, so the search goes over sets,
the one reached with the smallest peak first: the first that holds all operators is the best. An operator, or a chain of
them, that leaves no more alive than there was and stays below the peak runs at once. That loses nothing: whatever runs
later finds no more alive than it would have. So few sets are left to try. Pure Python.
"""

import heapq
from dataclasses import dataclass, replace
from typing import Any

from tinyflow.compile.buffers import Sharing, live_bytes
from tinyflow.compile.graph import Graph
from tinyflow.compile.operators import facts, needs
from tinyflow.compile.plan import plan_memory

BUDGET = 40_000  # steps looked at: some seconds


def order_operators(graph: Graph) -> Graph:
    """The operators in the order with the smallest arena that we find; in the given one when no other is smaller."""
    found = Orders(graph).smallest()
    other = replace(graph, ops=tuple(graph.ops[position] for position in found))
    arena = plan_memory(other).arena_bytes
    given_will_do = max(live_bytes(graph), default=0) <= arena and plan_memory(graph).arena_bytes <= arena
    return graph if given_will_do else other


@dataclass(frozen=True)
class _Value:
    """A tensor as the operators see it: sets of operators are bits of an integer."""

    start: int  # in its body
    end: int
    producer: int  # 0: the graph's input
    readers: int
    kept: bool  # an output of the graph


@dataclass(slots=True)
class _State:
    peak: int  # bytes on the way here
    area: int  # bytes alive, summed over the steps
    done: int
    alive: int
    ready: list[int]
    path: tuple[Any, ...]  # ((..., step before), last step)

    def __lt__(self, other: "_State") -> bool:
        return self.done < other.done


class Orders:
    def __init__(self, graph: Graph):
        self.graph, self.count = graph, len(graph.ops)
        sharing = Sharing(graph)
        producer = {output: 1 << step for step, op in enumerate(graph.ops) for output in op.outputs}
        readers = dict.fromkeys(sharing.body, 0)
        for step, op in enumerate(graph.ops):
            for index in op.inputs:
                if index in readers:
                    readers[index] |= 1 << step
        values = {
            index: _Value(
                sharing.start[index],
                sharing.start[index] + graph.tensor(index).bytes,
                producer.get(index, 0),
                readers[index],
                index in graph.outputs,
            )
            for index in sharing.body
        }
        self.bodies = {
            body: sorted((values[index] for index in members), key=lambda value: value.start)
            for body, members in sharing.members.items()
        }
        self.after, self.touched, self.relevant, self.scratch, self.over = [], [], [], [], []
        for op in graph.ops:
            inputs = [index for index in dict.fromkeys(op.inputs) if index in values]
            need = None if facts(op).view or op.placed else needs(graph, op)
            self.after.append(sum({values[index].producer for index in inputs}))
            self.touched.append(sorted({sharing.body[index] for index in (*inputs, *op.outputs)}))
            self.relevant.append(0)
            for body in self.touched[-1]:
                for value in self.bodies[body]:
                    self.relevant[-1] |= value.producer | value.readers
            self.scratch.append(need.scratch if need else 0)
            sources = dict.fromkeys(op.inputs[position] for position in need.in_place) if need else ()
            output = graph.tensor(op.outputs[0]).bytes
            self.over.append(
                [(sharing.body[i], values[i], min(output, graph.tensor(i).bytes)) for i in sources if i in values]
            )
        self.followers = [
            [(other, after) for other, after in enumerate(self.after) if after >> step & 1]
            for step in range(self.count)
        ]
        self.costs: list[dict[int, tuple[int, int]]] = [{} for _ in graph.ops]
        self.start = sum(self._covered(self.bodies[sharing.body[index]], 0, 0) for index in graph.inputs)

    def cost(self, step: int, done: int) -> tuple[int, int]:
        """(bytes needed while operator ``step`` runs after the set ``done``, bytes alive after it), both less those
        alive before.
        """
        key = done & self.relevant[step]
        known = self.costs[step].get(key)
        if known is None:
            bit = 1 << step
            bodies = [self.bodies[body] for body in self.touched[step]]
            before = sum(self._covered(body, done, 0) for body in bodies)
            during = sum(self._covered(body, done, bit) for body in bodies) + self.scratch[step]
            after = sum(self._covered(body, done | bit, 0) for body in bodies)
            saved = [
                size
                for body, value, size in self.over[step]
                if not self._read_later(self.bodies[body], value, done | bit)
            ]
            known = self.costs[step][key] = during - max(saved, default=0) - before, after - before
        return known

    def smallest(self) -> list[int]:
        """An order with the smallest peak; among those one in which little is alive for long. Past the budget: the most
        promising.
        """
        tried: dict[int, tuple[int, int]] = {}  # set of operators -> (peak, area) of the best way there
        seen, looked = set(), 0
        queue = [
            (
                self.start,
                0.0,
                _State(self.start, 0, 0, self.start, [step for step in range(self.count) if not self.after[step]], ()),
            )
        ]
        while True:
            state = heapq.heappop(queue)[2]
            if state.done in seen:
                continue
            seen.add(state.done)
            if not state.ready:
                return _unwound(state.path)
            looked += len(state.ready)
            if looked > BUDGET:
                queue, seen, tried = [], set(), {}  # from here on straight ahead
            for step in state.ready:
                then = _State(state.peak, state.area, state.done, state.alive, state.ready, state.path)
                self._run(then, step)
                way = then.peak, then.area
                if then.done in tried and tried[then.done] <= way:
                    continue
                tried[then.done] = way
                self._settle(then)
                if then.done not in seen:
                    heapq.heappush(queue, (then.peak, then.area / then.done.bit_count(), then))

    def _run(self, state: _State, step: int) -> None:
        needed, change = self.cost(step, state.done)
        top = state.alive + needed
        state.peak = max(state.peak, top)
        state.area += top
        state.done |= 1 << step
        state.alive += change
        state.ready = [other for other in state.ready if other != step] + self._made_ready(step, state.done)
        state.path = state.path, step

    def _made_ready(self, step: int, done: int) -> list[int]:
        return [other for other, after in self.followers[step] if after & done == after]

    def _settle(self, state: _State) -> None:
        """Runs what can run at no cost, until nothing can."""
        while chain := next(
            filter(None, (self._chain(step, state.done, state.peak - state.alive) for step in state.ready)), None
        ):
            for step in chain:
                self._run(state, step)

    def _chain(self, step: int, done: int, room: int) -> list[int]:
        """Operators from ``step`` on, each made ready by the one before, that end with no more alive than before; or
        none.
        """
        links, total = [], 0
        while True:
            needed, change = self.cost(step, done)
            if total + needed > room:
                return []
            links.append(step)
            total += change
            if total <= 0:
                return links
            done |= 1 << step
            made = self._made_ready(step, done)
            if len(made) != 1:
                return []
            step = made[0]

    @staticmethod
    def _covered(body: list[_Value], done: int, running: int) -> int:
        """Bytes of ``body`` alive after the set ``done``; while the operator ``running`` runs if it is not 0."""
        total = end = 0
        for value in body:  # in order of start
            if (value.producer & ~(done | running)) == 0 and (
                value.kept or value.readers & ~done or value.producer & running
            ):
                total += max(value.end - max(value.start, end), 0)
                end = max(end, value.end)
        return total

    @staticmethod
    def _read_later(body: list[_Value], value: _Value, done: int) -> bool:
        """Whether bytes of ``value`` are still wanted after the set ``done``."""
        return any(
            other.start < value.end
            and value.start < other.end
            and (other.kept or other.readers & ~done)
            and not other.producer & ~done
            for other in body
        )


def _unwound(path: tuple[Any, ...]) -> list[int]:
    order = []
    while path:
        path, step = path
        order.append(step)
    return order[::-1]
