"""A minimum cut: nodes on two sides at the least price of the edges from the first side to the second."""

from collections import defaultdict, deque
from collections.abc import Hashable

FOREVER = 1 << 40  # an edge that no cut crosses


class Cut:
    SOURCE, SINK = "source", "sink"

    def __init__(self) -> None:
        self._free: dict[Hashable, dict[Hashable, int]] = defaultdict(dict)  # capacity left

    def edge(self, first: Hashable, second: Hashable, price: int, once: bool = False) -> None:
        """Paid when ``first`` is on the source's side and ``second`` on the sink's. ``once``: equal edges are one."""
        before = 0 if once else self._free[first].get(second, 0)
        self._free[first][second] = before + price
        self._free[second].setdefault(first, 0)

    def sink_side(self) -> set[Hashable]:
        """The nodes on the sink's side of the cheapest cut; of several, the one with the fewest there."""
        while path := self._path():
            room = min(self._free[first][second] for first, second in path)
            for first, second in path:
                self._free[first][second] -= room
                self._free[second][first] += room
        reached: set[Hashable] = {self.SINK}
        waiting: deque[Hashable] = deque(reached)
        while waiting:
            node = waiting.popleft()
            for other in self._free[node]:
                if other not in reached and self._free[other][node] > 0:
                    reached.add(other)
                    waiting.append(other)
        return reached - {self.SINK}

    def _path(self) -> list[tuple[Hashable, Hashable]]:
        """The shortest way from source to sink with capacity left (Edmonds and Karp, 1972)."""
        before: dict[Hashable, Hashable] = {self.SOURCE: None}
        waiting: deque[Hashable] = deque(before)
        while waiting and self.SINK not in before:
            node = waiting.popleft()
            for other, room in self._free[node].items():
                if room > 0 and other not in before:
                    before[other] = node
                    waiting.append(other)
        if self.SINK not in before:
            return []
        path: list[tuple[Hashable, Hashable]] = []
        end: Hashable = self.SINK
        while before[end] is not None:
            path.append((before[end], end))
            end = before[end]
        return path
