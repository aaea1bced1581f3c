"""Removes operators whose results nothing reads."""

from dataclasses import replace

from tinyflow.compile.graph import Graph, live


def remove_dead(graph: Graph) -> Graph:
    """Keeps the operators from which a graph output can be reached."""
    return replace(graph, ops=tuple(graph.ops[position] for position in live(graph.ops, graph.outputs)))
