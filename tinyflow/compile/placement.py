"""Offsets for buffers such that no two parts that live at the same step share a byte, in as few bytes as we can find.

This is dynamic storage allocation, NP-hard in general. Several greedy orders are tried first, then seeded changes of the
best; a lower bound says when to stop. Pure Python.
"""

import random
from collections.abc import Callable, Sequence

from tinyflow.compile.buffers import TENSOR_ALIGNMENT, Buffer

SHUFFLES = 300  # improvement attempts when no greedy order reaches the bound; fixed seed
Gaps = list[list[tuple[int, list[tuple[int, int]]]]]  # buffer -> [(other, open intervals of its offset less the other's that collide)]


def aligned(size: int, alignment: int = TENSOR_ALIGNMENT) -> int:
    return -(-size // alignment) * alignment


def place(buffers: Sequence[Buffer], bound: int) -> tuple[list[int], int]:
    """(offset of each buffer, bytes of the arena)."""
    gaps, sizes = collisions(buffers), [buffer.bytes for buffer in buffers]
    spans = [buffer.last - buffer.first + 1 for buffer in buffers]
    orders: tuple[Callable[[int], tuple], ...] = (
        lambda i: (-sizes[i], buffers[i].first),
        lambda i: (-sizes[i] * spans[i], buffers[i].first),
        lambda i: (-spans[i], -sizes[i]),
        lambda i: (buffers[i].first, -sizes[i]),
        lambda i: (-buffers[i].last, -sizes[i]),
        lambda i: (-sum(sizes[other] for other, _ in gaps[i]), -sizes[i]),
    )
    best_order, best, best_size = [], [], None
    for key in orders:
        order = sorted(range(len(buffers)), key=key)
        places, size = first_fit(buffers, gaps, order)
        if best_size is None or size < best_size:
            best_order, best, best_size = order, places, size
        if best_size <= aligned(bound):
            return best, best_size
    shuffler = random.Random(0)
    for _ in range(SHUFFLES if len(buffers) > 2 else 0):
        if best_size <= aligned(bound):
            break
        order = list(best_order)
        i, j = shuffler.sample(range(len(order)), 2)
        order.insert(i, order.pop(j))
        places, size = first_fit(buffers, gaps, order)
        if size <= best_size:
            best_order, best, best_size = order, places, size
    return best, best_size


def _next(offset: int, buffer: Buffer) -> int:
    """The first offset from ``offset`` on at which ``buffer`` is aligned."""
    return aligned(offset + buffer.anchor, buffer.alignment) - buffer.anchor


def collisions(buffers: Sequence[Buffer]) -> Gaps:
    gaps: Gaps = [[] for _ in buffers]
    for i, buffer in enumerate(buffers):
        for j, other in enumerate(buffers):
            if i != j:
                pairs = ((a, b) for a in buffer.parts for b in other.parts if a.meets(b))
                if intervals := _union(sorted((b.start - a.start - a.bytes, b.start + b.bytes - a.start) for a, b in pairs)):
                    gaps[i].append((j, intervals))
    return gaps


def _union(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of open intervals, sorted; what lies between two that touch stays."""
    merged: list[tuple[int, int]] = []
    for low, high in intervals:
        if merged and low < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def first_fit(buffers: Sequence[Buffer], gaps: Gaps, order: Sequence[int]) -> tuple[list[int], int]:
    """Each buffer, in order, at the lowest offset at which it collides with none of those already placed."""
    places: list[int] = [-1] * len(buffers)
    arena = 0
    for index in order:
        buffer = buffers[index]
        offset = _next(0, buffer)
        for low, high in sorted((places[j] + low, places[j] + high) for j, intervals in gaps[index] if places[j] >= 0 for low, high in intervals):
            if low < offset < high:
                offset = _next(high, buffer)
        places[index] = offset
        arena = max(arena, aligned(offset + buffer.bytes))
    return places, arena
