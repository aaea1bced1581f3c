"""Removes operators whose results nothing reads."""

from dataclasses import replace

from tinyflow.compile.graph import Graph


def remove_dead(graph: Graph) -> Graph:
    """Keeps the operators from which a graph output can be reached."""
    wanted, kept = set(graph.outputs), []
    for op in reversed(graph.ops):
        if wanted & set(op.outputs):
            kept.append(op)
            wanted |= set(op.inputs)
    return replace(graph, ops=tuple(reversed(kept)))
