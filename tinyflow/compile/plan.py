"""The memory plan: where in one static arena each tensor lies, step by step. Pure Python and numpy."""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from tinyflow.compile.artefact import Placed
from tinyflow.compile.buffers import SCRATCH, Buffer, buffers, in_place_choices, live_bytes, used_bytes
from tinyflow.compile.graph import Graph
from tinyflow.compile.packing import aligned, place

ALIGNMENT = 16  # of the arena itself: what the scratch of a kernel may count on
TRIES, QUICK = 100, 20  # changes of what works in place where the bound is not reached, and the rounds of placing each


@dataclass(frozen=True)
class MemoryPlan:
    offsets: dict[int, int]  # tensor -> byte in the arena
    arena_bytes: int
    bound_bytes: int  # maximum over steps of live bytes: no plan of this order, of these kernels can beat it
    buffers: tuple[Buffer, ...]
    places: tuple[int, ...]  # offset of each buffer
    steps: int
    names: dict[int, str]  # of tensors, for the picture
    scratch: dict[int, int]  # first output of an operator -> byte in the arena of its scratch

    @property
    def lifetimes(self) -> dict[int, tuple[int, int]]:
        """Tensor -> (first, last) step."""
        return {
            part.tensor: (part.first, part.last)
            for buffer in self.buffers
            for part in buffer.parts
            if part.tensor != SCRATCH
        }

    def placed(self, computes: Sequence[bool]) -> tuple[Placed, ...]:
        """Everything in the arena, by its first layer: tensors, then scratch.

        computes: of every step, whether it is a layer; views are none.
        """
        layer = list(accumulate(computes, initial=0))  # before each step, and how many there are
        layer.append(layer[-1])
        found = []
        for buffer, offset in zip(self.buffers, self.places):
            for part in buffer.parts:
                first, last = layer[part.first], layer[part.last + 1] - (part.last < self.steps)
                scratch = part.tensor == SCRATCH
                name = "scratch" if scratch else self.names[part.tensor]
                found.append(Placed(name, offset + part.start, part.bytes, first, max(first, last), scratch))
        return tuple(sorted(found, key=lambda item: (item.first, item.scratch, item.offset)))

    def picture(self, path: Path) -> None:
        """The arena over time as a PNG: one box per tensor, steps to the right, bytes upwards; scratch is hatched."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle

        figure = Figure(figsize=(max(6.0, min(24.0, 1.5 + 0.35 * self.steps)), 5.0), layout="constrained")
        axes = figure.subplots()
        for index, (buffer, start) in enumerate(zip(self.buffers, self.places)):
            for part in buffer.parts:
                scratch, width, bottom = part.tensor == SCRATCH, part.last - part.first + 1, start + part.start
                look: dict[str, Any] = (
                    {"facecolor": "white", "edgecolor": "grey", "hatch": "////"}
                    if scratch
                    else {"facecolor": f"C{index % 10}", "edgecolor": "white"}
                )
                axes.add_patch(Rectangle((part.first, bottom), width, part.bytes, alpha=0.8, linewidth=0.7, **look))
                if part.bytes > self.arena_bytes / 25:
                    label = f"{'scratch' if scratch else self.names[part.tensor][-24:]}\n{part.bytes:,}"
                    axes.text(
                        part.first + width / 2, bottom + part.bytes / 2, label, ha="center", va="center", fontsize=5
                    )
        axes.axhline(self.bound_bytes, color="black", linestyle=":", linewidth=1)
        axes.set_xlim(0, max(self.steps, 1))
        axes.set_ylim(0, max(self.arena_bytes, 1))
        axes.set_xlabel("step of model_invoke")
        axes.set_ylabel("byte in the arena")
        axes.set_title(f"planned arena {self.arena_bytes:,} B, lower bound {self.bound_bytes:,} B (dotted)")
        figure.canvas = FigureCanvasAgg(figure)
        figure.savefig(path, dpi=150, metadata={"Software": None})


# who orders the operators has planned the graph that others plan next
RECENT: deque[tuple[Graph, MemoryPlan]] = deque(maxlen=2)


def plan_memory(graph: Graph) -> MemoryPlan:
    """A place in the arena for every tensor that is not constant; the operators in the graph's order."""
    for known, plan in tuple(RECENT):
        if known is graph:
            return plan
    plan = _plan(graph)
    RECENT.append((graph, plan))
    return plan


def _plan(graph: Graph) -> MemoryPlan:
    bound = max(live_bytes(graph), default=0)
    bodies, places, arena = _smallest(graph, bound)
    parts = [(part, offset + part.start) for body, offset in zip(bodies, places) for part in body.parts]
    offsets = {part.tensor: offset for part, offset in parts if part.tensor != SCRATCH}
    scratch = {graph.ops[part.first].outputs[0]: offset for part, offset in parts if part.tensor == SCRATCH}
    names = {index: graph.tensor(index).name for index in offsets}
    return MemoryPlan(offsets, arena, bound, bodies, tuple(places), len(graph.ops), names, scratch)


def _smallest(graph: Graph, bound: int) -> tuple[tuple[Buffer, ...], list[int], int]:
    """Buffers, their places and the arena. Past the bound, operators that work in place do so elsewhere, or not at all,
    one at a time.
    """
    choices = in_place_choices(graph)
    bodies = buffers(graph, choices)
    best = (bodies, *place(bodies, bound))
    others = [
        (step, option)
        for step, inputs in choices.items()
        for option in (inputs[1:] + inputs[:1], ())
        if option != inputs
    ]
    random.Random(0).shuffle(others)
    for step, option in others[:TRIES]:
        if best[2] <= aligned(bound):
            break
        bodies = buffers(graph, choices | {step: option})
        least = max(used_bytes(bodies, len(graph.ops)))
        if least <= best[2] and (found := (bodies, *place(bodies, least, QUICK)))[2] <= best[2]:
            best, choices = found, choices | {step: option}
    return best
