"""The memory plan: where in one static arena each tensor lies, step by step.

Tensors that may share bytes by construction (a RESHAPE and its input; an element-wise result over an operand that
nothing reads again) form one buffer. Buffers whose lifetimes overlap never overlap in memory. Placing buffers is
dynamic storage allocation, NP-hard in general, so several greedy orders are tried and the smallest arena wins;
the lower bound says how far from the best that can be. Pure Python and numpy.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinyflow.compile.graph import VIEWS, Graph, Op
from tinyflow.compile.operators import needs

# Word loads (SMLAD kernels) want 4, the vector units of Cortex-M55 and M85 want 16; 16 costs a few bytes per buffer.
ALIGNMENT = 16
SHUFFLES = 300  # improvement attempts when no greedy order reaches the bound; fixed seed


@dataclass(frozen=True)
class Buffer:
    """Tensors at one place, live from the step that writes it to the last that reads it, both included; none: scratch."""

    tensors: tuple[int, ...]
    bytes: int
    first: int
    last: int

    def meets(self, other: "Buffer") -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class MemoryPlan:
    offsets: dict[int, int]  # tensor -> byte in the arena
    arena_bytes: int
    bound_bytes: int  # maximum over steps of live bytes: no plan without smaller kernels can beat it
    buffers: tuple[Buffer, ...]
    places: tuple[int, ...]  # offset of each buffer
    steps: int
    names: tuple[str, ...]  # of each buffer, for the picture
    scratch: dict[int, int]  # first output of an operator -> byte in the arena of its scratch

    @property
    def lifetimes(self) -> dict[int, tuple[int, int]]:
        """Tensor -> (first, last) step of its buffer."""
        return {tensor: (buffer.first, buffer.last) for buffer in self.buffers for tensor in buffer.tensors}

    def picture(self, path: Path) -> None:
        """The arena over time as a PNG: one box per buffer, steps to the right, bytes upwards."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle

        figure = Figure(figsize=(max(6.0, min(24.0, 1.5 + 0.35 * self.steps)), 5.0), layout="constrained")
        axes = figure.subplots()
        for index, (buffer, place, name) in enumerate(zip(self.buffers, self.places, self.names)):
            width = buffer.last - buffer.first + 1
            axes.add_patch(Rectangle((buffer.first, place), width, buffer.bytes, facecolor=f"C{index % 10}", edgecolor="white"))
            if buffer.bytes > self.arena_bytes / 25:
                label = f"{name[-24:]}\n{buffer.bytes:,}"
                axes.text(buffer.first + width / 2, place + buffer.bytes / 2, label, ha="center", va="center", fontsize=5)
        axes.axhline(self.bound_bytes, color="black", linestyle=":", linewidth=1)
        axes.set_xlim(0, max(self.steps, 1))
        axes.set_ylim(0, max(self.arena_bytes, 1))
        axes.set_xlabel("step of model_invoke")
        axes.set_ylabel("byte in the arena")
        axes.set_title(f"planned arena {self.arena_bytes:,} B, lower bound {self.bound_bytes:,} B (dotted)")
        figure.canvas = FigureCanvasAgg(figure)
        figure.savefig(path, dpi=150, metadata={"Software": None})


def plan_memory(graph: Graph) -> MemoryPlan:
    """A place in the arena for every tensor that is not constant."""
    buffers = _buffers(graph)
    bound = max((sum(b.bytes for b in buffers if b.first <= t <= b.last) for t in range(max(len(graph.ops), 1))), default=0)
    places = _place(buffers, bound)
    arena = max((place + _aligned(buffer.bytes) for place, buffer in zip(places, buffers)), default=0)
    offsets = {tensor: place for place, buffer in zip(places, buffers) for tensor in buffer.tensors}
    scratch = {graph.ops[buffer.first].outputs[0]: place for place, buffer in zip(places, buffers) if not buffer.tensors}
    names = tuple(graph.tensor(buffer.tensors[0]).name if buffer.tensors else "scratch" for buffer in buffers)
    return MemoryPlan(offsets, arena, bound, buffers, tuple(places), len(graph.ops), names, scratch)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _buffers(graph: Graph) -> tuple[Buffer, ...]:
    end = max(len(graph.ops) - 1, 0)
    last = {index: 0 for index in graph.inputs}  # an input nobody reads still needs its place at the start
    for step, op in enumerate(graph.ops):
        last.update({index: step for index in (*op.inputs, *op.outputs)})
    last.update({index: end for index in graph.outputs})

    home: dict[int, list[int]] = {}  # tensor -> the tensors of its buffer
    first: dict[int, int] = {}
    for index in graph.inputs:
        home[index], first[index] = [index], 0
    for step, op in enumerate(graph.ops):
        share = _shared_input(graph, op, step, home, last)
        for position, output in enumerate(op.outputs):
            first[output] = step
            home[output] = home[share] if share is not None and position == 0 else []
            home[output].append(output)
    groups = {id(group): group for group in home.values()}
    scratch = [(step, needs(graph, op).scratch) for step, op in enumerate(graph.ops)]
    return tuple(
        Buffer(tuple(group), max(graph.tensor(t).bytes for t in group), min(first[t] for t in group), max(last[t] for t in group))
        for group in groups.values()
    ) + tuple(Buffer((), size, step, step) for step, size in scratch if size)


def _shared_input(graph: Graph, op: Op, step: int, home: dict[int, list[int]], last: dict[int, int]) -> int | None:
    """The input whose bytes the output takes over, if any."""
    if op.kind in VIEWS:
        return op.inputs[0] if op.inputs[0] in home else None
    for position in needs(graph, op).in_place:
        index = op.inputs[position]
        if index in home and max(last[t] for t in home[index]) == step and not set(home[index]) & set(graph.outputs):
            return index
    return None


def _place(buffers: tuple[Buffer, ...], bound: int) -> list[int]:
    """Offsets of the smallest arena found: greedy orders first, then seeded swaps of the best order."""
    orders: tuple[Callable[[Buffer], tuple], ...] = (
        lambda b: (-b.bytes, b.first),
        lambda b: (-b.bytes * (b.last - b.first + 1), b.first),
        lambda b: (b.first - b.last, -b.bytes),
        lambda b: (b.first, -b.bytes),
        lambda b: (-b.last, -b.bytes),
        lambda b: (-_pressure(b, buffers), -b.bytes, b.first),
    )
    best_order, best, best_size = [], [], None
    for key in orders:
        order = sorted(range(len(buffers)), key=lambda i: key(buffers[i]))
        places, size = _first_fit(buffers, order)
        if best_size is None or size < best_size:
            best_order, best, best_size = order, places, size
    shuffler = random.Random(0)
    for _ in range(SHUFFLES if len(buffers) > 2 else 0):
        if best_size <= _aligned(bound):
            break
        order = list(best_order)
        i, j = shuffler.sample(range(len(order)), 2)
        order.insert(i, order.pop(j))
        places, size = _first_fit(buffers, order)
        if size <= best_size:
            best_order, best, best_size = order, places, size
    return best


def _pressure(buffer: Buffer, buffers: tuple[Buffer, ...]) -> int:
    """Most bytes live at once while ``buffer`` lives."""
    return max(sum(b.bytes for b in buffers if b.first <= t <= b.last) for t in range(buffer.first, buffer.last + 1))


def _first_fit(buffers: tuple[Buffer, ...], order: list[int]) -> tuple[list[int], int]:
    """Each buffer, in order, at the lowest offset free of those already placed that live with it."""
    places, done, arena = [0] * len(buffers), [], 0
    for index in order:
        buffer, offset = buffers[index], 0
        for start, end in sorted((places[i], places[i] + buffers[i].bytes) for i in done if buffers[i].meets(buffer)):
            if offset + buffer.bytes <= start:
                break
            offset = max(offset, _aligned(end))
        places[index] = offset
        done.append(index)
        arena = max(arena, offset + _aligned(buffer.bytes))
    return places, arena
