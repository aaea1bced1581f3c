"""Where a network needs most memory, and what it would save with fewer channels.

Convolutions whose outputs are added must keep the same channels; depthwise convolutions, pools and the like follow
their input. Each group that must be narrowed together is tried at half its width: the graph is drawn again, and the
planner's lower bound, the weights and biases and the multiply-accumulates are counted on it. Accuracy is another
matter: such a network must be trained again. Pure Python and numpy.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyflow.compile.buffers import SCRATCH, Part, buffers, live_bytes
from tinyflow.compile.graph import Graph, Op, Tensor
from tinyflow.compile.names import brief
from tinyflow.compile.operators import Channels, facts
from tinyflow.compile.plan import MemoryPlan

LARGEST = 3
FOLLOW = (Channels.KEPT, Channels.REPEATED, Channels.JOINED)
Runs = list[tuple[int, int]]  # a tensor's channels in order: (the operator that made them, how many)


@dataclass(frozen=True)
class Narrowing:
    """Half the channels of ``layers``: bytes off the arena's lower bound and off weights and biases, and
    multiply-accumulates.
    """

    layers: tuple[str, ...]
    arena_bytes: int
    model_bytes: int
    macs: int

    def __str__(self) -> str:
        more = f" and {len(self.layers) - 1} more that go with it" if len(self.layers) > 1 else ""
        parts = [
            f"{name} -{count:,}{unit}"
            for name, count, unit in (
                ("arena", self.arena_bytes, " B"),
                ("weights", self.model_bytes, " B"),
                ("MACs", self.macs, ""),
            )
            if count
        ]
        return f"half the channels of {brief(self.layers[0])}{more}: {', '.join(parts)}"


def memory_report(graph: Graph, plan: MemoryPlan) -> dict[str, Any]:
    """The step at which most is alive with what is alive then, and the three largest savings; part of CompiledModel."""
    alive = live_bytes(graph)
    step = max(range(len(graph.ops)), key=lambda step: alive[step], default=0)
    parts = [
        part
        for buffer in buffers(graph, {})
        for part in _outermost([part for part in buffer.parts if part.first <= step <= part.last])
    ]
    tensors = [
        {"name": "scratch" if part.tensor == SCRATCH else plan.names[part.tensor], "bytes": part.bytes}
        for part in parts
    ]
    return {
        "peak": {
            "step": step,
            "kind": graph.ops[step].kind if graph.ops else "",
            "output": plan.names[graph.ops[step].outputs[0]] if graph.ops else "",
            "bytes": alive[step],
            "alive": sorted(tensors, key=lambda item: -item["bytes"]),
        },
        "savings": [
            {**asdict(saving), "layers": list(saving.layers), "text": str(saving)} for saving in savings(graph)
        ],
    }


def _outermost(parts: list[Part]) -> list[Part]:
    """Without those that lie inside another: views, and what is placed in a map that is alive too."""
    kept: list[Part] = []
    for part in sorted(parts, key=lambda part: -part.bytes):
        if not any(
            other.start <= part.start and part.start + part.bytes <= other.start + other.bytes for other in kept
        ):
            kept.append(part)
    return kept


def savings(graph: Graph) -> tuple[Narrowing, ...]:
    """The largest, by the share of the arena or of the weights that goes."""
    graph = _shapes(graph)
    channels, groups = _channels(graph)
    arena, weights, macs = _measure(graph)
    found = []
    for group in groups:
        smaller, fewer, less = _measure(_narrowed(graph, channels, group))
        names = tuple(graph.tensor(graph.ops[step].outputs[0]).name for step in sorted(group))
        found.append(Narrowing(names, arena - smaller, weights - fewer, macs - less))
    found = [saving for saving in found if saving.arena_bytes > 0 or saving.model_bytes > 0]
    return tuple(
        sorted(
            found, key=lambda saving: -max(saving.arena_bytes / max(arena, 1), saving.model_bytes / max(weights, 1))
        )[:LARGEST]
    )


def _shapes(graph: Graph) -> Graph:
    """The graph without quantisation and values, so that shapes may change."""
    return replace(
        graph, tensors=tuple(replace(tensor, quantization=None, data=_zeros(tensor)) for tensor in graph.tensors)
    )


def _zeros(tensor: Tensor) -> NDArray[Any] | None:
    if tensor.data is None or tensor.dtype == "int32":  # sizes, axes and the like are read
        return tensor.data
    return np.broadcast_to(np.zeros((), tensor.data.dtype), tensor.shape)


def _measure(graph: Graph) -> tuple[int, int, int]:
    """(lower bound of the arena, weights and biases, multiply-accumulates)."""
    weights = macs = 0
    for op in graph.ops:
        if facts(op).weights is not None:
            kernel, output = graph.tensor(op.inputs[1]), graph.tensor(op.outputs[0])
            weights += kernel.elements + 4 * output.shape[-1]
            macs += kernel.elements * (math.prod(output.shape[1:3]) if len(output.shape) == 4 else 1)
    return max(live_bytes(graph), default=0), weights, macs


def _channels(graph: Graph) -> tuple[dict[int, Runs], list[set[int]]]:
    """(the channels of every activation; the groups of operators that may be narrowed, each only as a whole)."""
    made: dict[int, Runs] = {
        index: [(-1, graph.tensor(index).shape[-1])] for index in graph.inputs if graph.tensor(index).shape
    }
    parent: dict[int, int] = {-1: -1}  # -1: may not change

    def find(step: int) -> int:
        while parent.setdefault(step, step) != step:
            step = parent[step]
        return step

    def unite(a: int, b: int) -> None:
        a, b = find(a), find(b)
        parent[max(a, b)] = min(a, b)

    for step, op in enumerate(graph.ops):
        output, sources = graph.tensor(op.outputs[0]), [index for index in op.inputs if index in made]
        width = output.shape[-1] if output.shape else 1
        rule = facts(op).channels
        if rule is Channels.MADE and _whole(graph, op, made):
            find(step)
            made[op.outputs[0]] = [(step, width)]
        elif (
            rule is Channels.JOINED
            and op.options["axis"] % len(output.shape) == len(output.shape) - 1
            and len(sources) == len(op.inputs)
        ):
            made[op.outputs[0]] = [run for index in sources for run in made[index]]
        elif rule in FOLLOW and sources and (runs := _scaled(made[sources[0]], width, rule is Channels.REPEATED)):
            for index in sources[1:]:
                _align(made[sources[0]], made[index], unite)
            made[op.outputs[0]] = runs
        else:
            for owner, _ in (run for index in sources for run in made[index]):
                unite(owner, -1)
            made[op.outputs[0]] = [(-1, width)]
    for owner, _ in (run for index in graph.outputs for run in made[index]):
        unite(owner, -1)
    groups: dict[int, set[int]] = {}
    for step in parent:
        groups.setdefault(find(step), set()).add(step)
    return made, [group for root, group in groups.items() if root != -1]


def _whole(graph: Graph, op: Op, made: dict[int, Runs]) -> bool:
    """Whether the weights read all channels of the input: no grouped convolution."""
    return (
        op.inputs[0] in made
        and graph.tensor(op.inputs[1]).constant
        and graph.tensor(op.inputs[1]).shape[-1] == sum(count for _, count in made[op.inputs[0]])
    )


def _scaled(channels: Runs, width: int, more: bool) -> Runs:
    """The same channels; if ``more`` is allowed (a depth multiplier, a flattened map) so often that there are
    ``width``. None if that cannot be.
    """
    total = sum(count for _, count in channels)
    return (
        [(owner, count * width // total) for owner, count in channels]
        if width == total or more and width % total == 0
        else []
    )


def _align(a: Runs, b: Runs, unite: Callable[[int, int], None]) -> None:
    """Channel i of one goes with channel i of the other."""
    same = [count for _, count in a] == [count for _, count in b]
    for (owner, _), (other, _) in zip(a, b) if same else ((x, y) for x in a for y in b):
        unite(owner, other)


def _narrowed(graph: Graph, channels: dict[int, Runs], group: Iterable[int]) -> Graph:
    tensors = list(graph.tensors)

    def width(index: int) -> int:
        return sum(count - count // 2 if owner in group else count for owner, count in channels[index])

    for index in channels:
        if tensors[index].shape:
            tensors[index] = replace(tensors[index], shape=(*tensors[index].shape[:-1], width(index)))
    for op in graph.ops:
        axis = facts(op).weights
        if axis is not None and op.inputs[0] in channels:
            output, source, kernel = width(op.outputs[0]), width(op.inputs[0]), tensors[op.inputs[1]]
            sizes = list(kernel.shape)
            sizes[axis] = output
            if facts(op).channels is Channels.MADE and _whole(graph, op, channels):
                sizes[-1] = source
            shape = tuple(sizes)
            tensors[op.inputs[1]] = replace(kernel, shape=shape, data=np.broadcast_to(np.zeros((), np.int8), shape))
    return replace(graph, tensors=tuple(tensors))
