"""Passes: pure functions Graph -> Graph, each in its own module, none changing an output bit.

Tensor indices stay those of the file (a pass may append tensors), so that any layer can be compared with TFLM's.
All of them work on networks without weights and quantisation too (network/shape_graph.py).
"""

from tinyflow.compile.graph import Graph
from tinyflow.compile.order import order_operators
from tinyflow.compile.passes.activations import fuse_activations
from tinyflow.compile.passes.constants import fold_constants
from tinyflow.compile.passes.dead import remove_dead
from tinyflow.compile.passes.grouped import untangle_groups
from tinyflow.compile.passes.layouts import choose_layouts
from tinyflow.compile.passes.noops import remove_noops
from tinyflow.compile.passes.padding import fuse_padding
from tinyflow.compile.passes.placed import place_concatenations
from tinyflow.compile.passes.slices import fuse_slices
from tinyflow.compile.passes.tables import fuse_tables
from tinyflow.compile.passes.transposes import sink_transposes
from tinyflow.compile.passes.views import simplify_views

PASSES = (
    remove_dead,
    simplify_views,
    fold_constants,
    remove_noops,
    sink_transposes,
    remove_noops,
    fuse_slices,
    fuse_padding,
    remove_dead,  # padding and slices that went into all their readers are none any more
    untangle_groups,
    fuse_activations,
    fuse_tables,
    choose_layouts,
    place_concatenations,
    order_operators,
)

LOCAL = (fuse_slices, fuse_padding, remove_dead)  # those that see no more than neighbours, for a part of a network


def run_passes(graph: Graph, ordered: bool = True) -> Graph:
    """All of them, in order. ``ordered``: with the search for the order of operators, which takes longest and moves no
    cost.
    """
    for function in PASSES:
        graph = function(graph) if ordered or function is not order_operators else graph
    return graph
