"""Offsets for buffers such that no two parts that live at the same step share a byte, in as few bytes as we can find.

This is dynamic storage allocation, NP-hard in general. Each buffer goes to the lowest free place, in several greedy orders; then
those that stick out go earlier in the order, again and again. A lower bound says when to stop. On the networks we meet this found what
an exact solver (CP-SAT) proves to be the smallest arena of the same buffers. Pure Python.
"""

import random
from collections.abc import Callable, Sequence

from tinyflow.compile.buffers import TENSOR_ALIGNMENT, Buffer

ROUNDS = 60  # improvements of each greedy order
Gaps = list[list[tuple[int, list[tuple[int, int]]]]]  # buffer -> [(other, open intervals of its offset less the other's that collide)]


def aligned(size: int, alignment: int = TENSOR_ALIGNMENT) -> int:
    return -(-size // alignment) * alignment


def place(buffers: Sequence[Buffer], bound: int, rounds: int = ROUNDS) -> tuple[list[int], int]:
    """(offset of each buffer, bytes of the arena)."""
    gaps, sizes = collisions(buffers), [buffer.bytes for buffer in buffers]
    spans = [buffer.last - buffer.first + 1 for buffer in buffers]
    keys: tuple[Callable[[int], tuple], ...] = (
        lambda i: (-sizes[i], buffers[i].first),
        lambda i: (-sizes[i] * spans[i], buffers[i].first),
        lambda i: (-spans[i], -sizes[i]),
        lambda i: (buffers[i].first, -sizes[i]),
        lambda i: (-buffers[i].last, -sizes[i]),
        lambda i: (-sum(sizes[other] for other, _ in gaps[i]), -sizes[i]),
    )
    orders = [sorted(range(len(buffers)), key=key) for key in keys]
    best, arena = min((first_fit(buffers, gaps, order) for order in orders), key=lambda found: found[1])
    draw = random.Random(0)
    for order in orders:
        for _ in range(rounds):
            if arena <= aligned(bound):
                return best, arena
            found = first_fit(buffers, gaps, order, arena)
            if isinstance(found, int):  # the place in the order of the first that sticks out
                order.insert(draw.randrange(found + 1), order.pop(found))
            else:
                best, arena = found
    return best, arena


def _next(offset: int, buffer: Buffer) -> int:
    """The first offset from ``offset`` on at which ``buffer`` is aligned."""
    return aligned(offset + buffer.anchor, buffer.alignment) - buffer.anchor


def collisions(buffers: Sequence[Buffer]) -> Gaps:
    gaps: Gaps = [[] for _ in buffers]
    for i, buffer in enumerate(buffers):
        for j in range(i):
            other = buffers[j]
            if buffer.first <= other.last and other.first <= buffer.last:
                pairs = [(b.start - a.start - a.bytes, b.start - a.start + b.bytes) for a in buffer.parts for b in other.parts if a.first <= b.last and b.first <= a.last]
                if pairs:
                    intervals = _union(sorted(pairs))
                    gaps[i].append((j, intervals))
                    gaps[j].append((i, [(-high, -low) for low, high in intervals]))
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


def first_fit(buffers: Sequence[Buffer], gaps: Gaps, order: Sequence[int], limit: int | None = None) -> tuple[list[int], int] | int:
    """Each buffer, in order, at the lowest offset at which it collides with none of those already placed; the arena.

    With a limit: the position in the order of the first buffer that does not stay below it, if one does not.
    """
    places: list[int] = [-1] * len(buffers)
    arena = 0
    for position, index in enumerate(order):
        buffer = buffers[index]
        offset = _next(0, buffer)
        taken = [(places[j] + low, places[j] + high) for j, intervals in gaps[index] if places[j] >= 0 for low, high in intervals]
        taken.sort()
        for low, high in taken:
            if low < offset < high:
                offset = _next(high, buffer)
        places[index] = offset
        arena = max(arena, aligned(offset + buffer.bytes))
        if limit is not None and arena >= limit:
            return position
    return places, arena
