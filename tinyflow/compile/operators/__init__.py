"""Which operators we compile: the registry of fact sheets (registry.py), one module per family, and the two questions
that the rest of the compiler asks most.
"""

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.step import Step, need
from tinyflow.compile.needs import Needs
from tinyflow.compile.operators import (  # noqa: F401, each registers its kinds
    convolution,
    depthwise,
    elementwise,
    floats,
    gathers,
    moves,
    pooling,
    reductions,
    unary,
    views,
)
from tinyflow.compile.operators.registry import OPERATORS, Channels, Operator, Trait, facts, named, supported

__all__ = ["OPERATORS", "Channels", "Operator", "Trait", "facts", "lower_graph", "named", "needs", "supported"]


def needs(graph: Graph, op: Op) -> Needs:
    """What the kernel of ``op`` wants; shapes suffice, the layout flags of its tensors are taken as they are."""
    return facts(op).needs(graph, op)


def lower_graph(graph: Graph) -> tuple[Step, ...]:
    """Every operator that needs code, in order: views and placed CONCATENATIONs are the plan's alone. Errors name the
    first that we, or TFLM, do not compute.
    """
    steps = []
    for op in graph.ops:
        lower = facts(op).lower
        if lower is None:
            source, output = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
            need(
                source.bytes == output.bytes and source.dtype == output.dtype,
                graph,
                op,
                f"{list(source.shape)} -> {list(output.shape)}",
            )
        elif not op.placed:
            steps.append(lower(graph, op))
    return tuple(steps)
