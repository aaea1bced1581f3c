"""Needs: what the kernel of an operator wants from the layout pass and the memory plan.

Known from shapes alone, so that search can plan a network that nobody has trained; where the graph has quantisation and
weights, a kernel's own conditions on them count too. One function per kind of operator, beside its lowering.
"""

from dataclasses import dataclass

from tinyflow.compile.graph import Graph, Op

NHWC = "nhwc"  # all activations pixel after pixel
SAME = "same"  # either layout, all activations alike
PLANAR = "planar"  # input and output channel after channel
FREE = "free"  # each activation in its own layout
NHWC_IN = "nhwc_in"  # input pixel after pixel, output free


@dataclass(frozen=True)
class Needs:
    """layout: one of the above, over the 4-D activations. scratch: bytes of the arena for this step alone.

    in_place: positions of inputs whose bytes the output may take over, from the same first byte on, when nothing reads
    them later; the sizes may differ (the buffer is as large as the larger).
    """

    layout: str = NHWC
    scratch: int = 0
    in_place: tuple[int, ...] = ()


def nothing(graph: Graph, op: Op) -> Needs:
    """Of a kernel that reads and writes pixel after pixel, and no more."""
    return Needs()
