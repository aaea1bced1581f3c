"""What becomes of an operator when the tensors that it reads are taken as they were before a TRANSPOSE.

The sheet of an operator names one of these functions, or one of its own: (graph, op, order) to a Renamed, None where
the operator would differ. ``order`` is the permutation of the TRANSPOSEs that ``op`` reads.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyflow.compile.graph import Graph, Op

Order = tuple[int, ...]
Values = NDArray[Any]


@dataclass(frozen=True)
class Renamed:
    """An operator with its axes renamed.

    parameters: its inputs after the maps, by the index that they had; with new values where they change.
    behind: the permutation of the TRANSPOSE that its output then needs.
    """

    parameters: tuple[tuple[int, Values | None], ...]
    options: dict[str, Any]
    behind: Order


Renaming = Callable[[Graph, Op, Order], Renamed | None]


def inverse(order: Order) -> Order:
    return tuple(int(axis) for axis in np.argsort(order))


def one_by_one(graph: Graph, op: Op, order: Order) -> Renamed:
    """Element i of the output is made from element i of the inputs: nothing has an axis."""
    return Renamed((), op.options, order)


def by_axis(graph: Graph, op: Op, order: Order, count: int) -> Renamed | None:
    """The first ``count`` parameters are lists with an entry for each axis; all of them must be constant."""
    parameters = []
    for place, index in enumerate(op.inputs[1:]):
        values = graph.tensor(index).data
        if values is None:
            return None
        parameters.append((index, np.ascontiguousarray(values[list(inverse(order))]) if place < count else None))
    return Renamed(tuple(parameters), op.options, order)
