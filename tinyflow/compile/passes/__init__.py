"""Passes: pure functions Graph -> Graph, each in its own module, none changing an output bit.

Tensor indices stay those of the file (a pass may append tensors), so that any layer can be compared with TFLM's.
"""

from tinyflow.compile.graph import Graph
from tinyflow.compile.passes.dead import remove_dead
from tinyflow.compile.passes.layouts import choose_layouts
from tinyflow.compile.passes.views import simplify_views

PASSES = (remove_dead, simplify_views, choose_layouts)


def run_passes(graph: Graph) -> Graph:
    """All of them, in order."""
    for function in PASSES:
        graph = function(graph)
    return graph
