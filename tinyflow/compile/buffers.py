"""Which tensors live when, and which of them share bytes: the rigid bodies that the memory plan places.

Tensors share bytes by construction (a RESHAPE and its input; the inputs of a placed CONCATENATION, which lie inside its
output) or by choice (an operator that may work in place, over an input that nothing reads again). Tensors that share
form one buffer, a body of parts: each part has its bytes from the start of the buffer and its own lifetime, so that
what a buffer does not use at some step is free for others. Pure Python and numpy.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from tinyflow.compile.graph import Graph
from tinyflow.compile.operators import facts, needs
from tinyflow.errors import TinyflowError

TENSOR_ALIGNMENT = 4  # of a buffer; a placed part may lie anywhere in its own: kernels read activations unaligned
SCRATCH_ALIGNMENT = 16
SCRATCH = -1


@dataclass(frozen=True)
class Part:
    """A tensor's bytes, ``start`` from the begin of the buffer, live from step ``first`` to ``last``, both included."""

    tensor: int  # or SCRATCH
    start: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Buffer:
    parts: tuple[Part, ...]
    alignment: int = TENSOR_ALIGNMENT
    anchor: int = 0  # the byte that is aligned: its first, or the first of a graph input placed in it

    @cached_property
    def bytes(self) -> int:
        return max(part.start + part.bytes for part in self.parts)

    @cached_property
    def first(self) -> int:
        return min(part.first for part in self.parts)

    @cached_property
    def last(self) -> int:
        return max(part.last for part in self.parts)

    def covered(self, step: int) -> int:
        """Bytes in use at ``step``."""
        total, end = 0, 0
        for part in sorted(
            (part for part in self.parts if part.first <= step <= part.last), key=lambda part: part.start
        ):
            total += max(part.start + part.bytes - max(part.start, end), 0)
            end = max(end, part.start + part.bytes)
        return total


def lifetimes(graph: Graph) -> dict[int, tuple[int, int]]:
    """Tensor -> (first, last) step. Inputs live from the start, outputs to one step past the end,
    when they are read.
    """
    spans = dict.fromkeys(graph.inputs, (0, 0))
    for step, op in enumerate(graph.ops):
        for index in op.inputs:
            if index in spans:
                spans[index] = (spans[index][0], step)
        spans |= dict.fromkeys(op.outputs, (step, step))
    return spans | {index: (spans[index][0], len(graph.ops)) for index in graph.outputs if index in spans}


def in_place_choices(graph: Graph) -> dict[int, tuple[int, ...]]:
    """Step -> inputs that its output may take over as far as the kernel and the last reader of each go; the largest
    first.
    """
    spans, choices = lifetimes(graph), {}
    for step, op in enumerate(graph.ops):
        if not facts(op).view and not op.placed:
            dying = dict.fromkeys(op.inputs[position] for position in needs(graph, op).in_place)
            found = [index for index in dying if index in spans and spans[index][1] == step]
            if found:
                choices[step] = tuple(sorted(found, key=lambda index: -graph.tensor(index).bytes))
    return choices


class Sharing:
    """Tensors in bodies: for each its body and its first byte there."""

    def __init__(self, graph: Graph):
        self.graph, self.spans = graph, lifetimes(graph)
        self.body = {index: index for index in self.spans}
        self.start = dict.fromkeys(self.spans, 0)
        self.members = {index: [index] for index in self.spans}
        content, taken = {index: index for index in self.spans}, set()
        for op in graph.ops:
            output = op.outputs[0]
            if facts(op).view and op.inputs[0] in self.body:
                self._join(op.inputs[0], output, 0)
                content[output] = content[op.inputs[0]]
            elif op.placed:
                start = 0
                for index in op.inputs:
                    if index not in self.body or content[index] in taken:
                        name = graph.tensor(index).name
                        raise TinyflowError(
                            f"{graph.name}: {name!r} cannot be placed in {graph.tensor(output).name!r}",
                            "report it with the model",
                        )
                    self._join(output, index, start)
                    taken.add(content[index])
                    start += graph.tensor(index).bytes
        self.value = dict(self.body)  # tensors that share bytes because these are the same

    def take_over(self, source: int, output: int, step: int) -> bool:
        """Gives ``output``, written at ``step``, the place of ``source``, when that disturbs nobody."""
        if self.body[source] == self.body[output]:
            return False
        shift = self.start[source] - self.start[output]
        for a in self.members[self.body[source]]:
            for b in self.members[self.body[output]]:
                if self._overlap(a, b, shift) and not self._yields(a, b, source, output, step):
                    return False
        self._join(source, output, 0)
        return True

    def _overlap(self, a: int, b: int, shift: int) -> bool:
        (first, last), (other_first, other_last) = self.spans[a], self.spans[b]
        apart = self.start[a] - self.start[b] - shift
        return (
            first <= other_last
            and other_first <= last
            and -self.graph.tensor(a).bytes < apart < self.graph.tensor(b).bytes
        )

    def _yields(self, a: int, b: int, source: int, output: int, step: int) -> bool:
        """At ``step`` the bytes of ``a``, the source or a view of it, become those of the output ``b``."""
        same = (
            self.value[a] == self.value[source]
            and self.start[a] == self.start[source]
            and self.graph.tensor(a).bytes == self.graph.tensor(source).bytes
        )
        return b == output and same and self.spans[a][1] == step

    def _join(self, anchor: int, index: int, start: int) -> None:
        """Puts the body of ``index`` into that of ``anchor``, ``index`` starting ``start`` bytes after it."""
        if self.body[anchor] == self.body[index]:
            assert self.start[index] == self.start[anchor] + start
            return
        shift = self.start[anchor] + start - self.start[index]
        target, moved = self.body[anchor], self.members.pop(self.body[index])
        self.members[target] += moved
        for member in moved:
            self.body[member] = target
            self.start[member] += shift


def buffers(graph: Graph, choices: Mapping[int, Iterable[int]]) -> tuple[Buffer, ...]:
    """The bodies when at each step of ``choices`` the first input that can be taken over is; scratch last."""
    sharing = Sharing(graph)
    for step, inputs in choices.items():
        any(sharing.take_over(index, graph.ops[step].outputs[0], step) for index in inputs)
    bodies = []
    for members in sharing.members.values():
        low = min(sharing.start[index] for index in members)
        parts = tuple(
            Part(i, sharing.start[i] - low, graph.tensor(i).bytes, *sharing.spans[i])
            for i in sorted(members, key=sharing.spans.__getitem__)
        )
        bodies.append(Buffer(parts, anchor=next((part.start for part in parts if part.tensor in graph.inputs), 0)))
    for step, op in enumerate(graph.ops):
        if size := needs(graph, op).scratch:
            bodies.append(Buffer((Part(SCRATCH, 0, size, step, step),), SCRATCH_ALIGNMENT))
    return tuple(bodies)


def used_bytes(bodies: Iterable[Buffer], steps: int) -> list[int]:
    """Per step, and once after the last: the bytes of all bodies that are in use."""
    used = [0] * (steps + 1)
    for body in bodies:
        for step in range(body.first, body.last + 1):
            used[step] += body.covered(step) if len(body.parts) > 1 else body.bytes
    return used


def live_bytes(graph: Graph) -> list[int]:
    """Per step, and once after the last: the bytes that must be live, scratch among them, if it may choose what to work
    over.
    """
    bodies, choices = buffers(graph, {}), in_place_choices(graph)
    home = {part.tensor: (body, part) for body in bodies for part in body.parts}
    live = used_bytes(bodies, len(graph.ops))
    for step, inputs in choices.items():
        output = graph.tensor(graph.ops[step].outputs[0]).bytes
        free = [graph.tensor(index).bytes for index in inputs if not _read_later(*home[index], step)]
        live[step] -= min(output, max(free, default=0))
    return live


def _read_later(body: Buffer, part: Part, step: int) -> bool:
    end = part.start + part.bytes
    return any(
        other.last > step and other.start < end and part.start < other.start + other.bytes for other in body.parts
    )
