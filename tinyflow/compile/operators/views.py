"""RESHAPE, SQUEEZE, EXPAND_DIMS: the same bytes under another shape."""

from typing import Any

from numpy.typing import NDArray

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.needs import nothing
from tinyflow.compile.operators.registry import Channels, Operator, Row, Trait, register


def _same(graph: Graph, op: Op) -> NDArray[Any]:
    return graph.tensor(op.inputs[0]).values


VIEW = Row("none: a view in the memory plan", "")
for _kind in ("RESHAPE", "SQUEEZE", "EXPAND_DIMS"):
    register(
        Operator(
            kind=_kind,
            options=None,
            required=1,
            maps=1,  # its output tensor has the shape
            weights=None,
            lower=None,
            needs=nothing,
            results=None,
            evaluate=_same,
            keeps_bytes=lambda graph, op: True,
            renamed=None,
            channels=Channels.REPEATED,
            traits=Trait.VIEW,
            row=VIEW,
        )
    )
