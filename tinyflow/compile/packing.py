"""Offsets for buffers such that no two parts that live at the same step share a byte, in as few bytes as we can find.

This is dynamic storage allocation, NP-hard in general. Each buffer goes to the lowest free place, in several greedy
orders; then those that stick out go earlier in the order, again and again. A lower bound says when to stop. On the
networks we meet this found what an exact solver (CP-SAT) proves to be the smallest arena of the same buffers. Pure
Python.
"""

import random
from bisect import bisect_left
from collections.abc import Callable, Sequence

from tinyflow.compile.buffers import TENSOR_ALIGNMENT, Buffer

ROUNDS = 60  # improvements of each greedy order
# buffer -> [(other, open interval of its offset less the other's in which they collide)]
Gaps = list[list[tuple[int, int, int]]]


def aligned(size: int, alignment: int = TENSOR_ALIGNMENT) -> int:
    return -(-size // alignment) * alignment


def place(buffers: Sequence[Buffer], bound: int, rounds: int = ROUNDS) -> tuple[list[int], int]:
    """(offset of each buffer, bytes of the arena)."""
    gaps, sizes = collisions(buffers), [buffer.bytes for buffer in buffers]
    spans = [buffer.last - buffer.first + 1 for buffer in buffers]
    keys: tuple[Callable[[int], tuple[int, ...]], ...] = (
        lambda i: (-sizes[i], buffers[i].first),
        lambda i: (-sizes[i] * spans[i], buffers[i].first),
        lambda i: (-spans[i], -sizes[i]),
        lambda i: (buffers[i].first, -sizes[i]),
        lambda i: (-buffers[i].last, -sizes[i]),
        lambda i: (-sum(sizes[other] for other in {other for other, _, _ in gaps[i]}), -sizes[i]),
    )
    orders = [sorted(range(len(buffers)), key=key) for key in keys]
    fits = [FirstFit(buffers, gaps, order) for order in orders]
    best, arena = min(((fit.places, fit.arena()) for fit in fits), key=lambda found: found[1])
    best, draw = list(best), random.Random(0)
    for fit in fits:
        for _ in range(rounds):
            if arena <= aligned(bound):
                return best, arena
            late = fit.sticks_out(arena)
            if late is None:
                best, arena = list(fit.places), fit.arena()
            else:
                fit.move(late, draw.randrange(late + 1))
    return best, arena


def collisions(buffers: Sequence[Buffer]) -> Gaps:
    gaps: Gaps = [[] for _ in buffers]
    spans = [(buffer.first, buffer.last) for buffer in buffers]
    for i, (first, last) in enumerate(spans):
        for j, (other_first, other_last) in enumerate(spans[:i]):
            if first <= other_last and other_first <= last:
                pairs = [
                    (b.start - a.start - a.bytes, b.start - a.start + b.bytes)
                    for a in buffers[i].parts for b in buffers[j].parts if a.first <= b.last and b.first <= a.last
                ]  # fmt: skip
                for low, high in _union(sorted(pairs)):
                    gaps[i].append((j, low, high))
                    gaps[j].append((i, -high, -low))
    return gaps


def _union(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of open intervals, sorted; what lies between two that touch stays."""
    merged = intervals[:1]
    for low, high in intervals[1:]:
        if low < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


class FirstFit:
    """Buffers in an order, each at the lowest offset at which it collides with none before it. Placed only as far as
    asked for.
    """

    def __init__(self, buffers: Sequence[Buffer], gaps: Gaps, order: list[int]):
        self.gaps, self.order = gaps, order
        self.sizes = [(buffer.bytes, buffer.alignment, buffer.anchor) for buffer in buffers]
        self.places = [-1] * len(buffers)
        self.tops = [0]  # bytes of the arena with none, one, two ... of the order placed

    def arena(self) -> int:
        self.sticks_out(None)
        return self.tops[-1]

    def sticks_out(self, limit: int | None) -> int | None:
        """The position in the order of the first buffer that does not stay below ``limit``; None if all do."""
        if limit is not None and self.tops[-1] >= limit:
            return bisect_left(self.tops, limit) - 1
        places, tops = self.places, self.tops
        for position in range(len(tops) - 1, len(self.order)):
            index = self.order[position]
            size, alignment, anchor = self.sizes[index]
            offset = -anchor % alignment  # the anchor is what is aligned
            for low, high in sorted(
                [(place + low, place + high) for other, low, high in self.gaps[index] if (place := places[other]) >= 0]
            ):
                if low >= offset:
                    break
                if high > offset:
                    offset = high + -(high + anchor) % alignment
            places[index] = offset
            tops.append(max(tops[-1], aligned(offset + size)))
            if limit is not None and tops[-1] >= limit:
                return position
        return None

    def move(self, position: int, earlier: int) -> None:
        for index in self.order[earlier : len(self.tops) - 1]:
            self.places[index] = -1
        del self.tops[earlier + 1 :]
        self.order.insert(earlier, self.order.pop(position))
