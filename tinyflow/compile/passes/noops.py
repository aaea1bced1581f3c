"""Operators whose output is their input, byte for byte, go; those that only give it another shape become views.

A TRANSPOSE that moves nothing but axes of size 1, a STRIDED_SLICE of everything, a PAD by nothing, pools of one pixel,
the mean of one value, a QUANTIZE or RELU that no int8 feels, a CONCATENATION of one tensor, a resize to the same size.
"""

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.operators import facts, named
from tinyflow.compile.passes.draft import Draft

RESHAPE = named("RESHAPE")


def remove_noops(graph: Graph) -> Graph:
    draft = Draft(graph)
    for before in graph.ops:
        op = draft.maker(before.outputs[0])  # reads may have been redirected
        if op is None or op.inputs[0] < 0 or not _keeps_bytes(draft, op):
            continue
        source, output = draft.tensors[op.inputs[0]], draft.tensors[op.outputs[0]]
        if (
            source.shape == output.shape
            and source.planar == output.planar
            and draft.alike(op.inputs[0], op.outputs[0])
            and not source.constant
        ):
            draft.bypass(op)
        elif op.kind != RESHAPE and not source.planar and not output.planar:
            draft.put(op, [Op(RESHAPE, op.inputs[:1], op.outputs)])
    return draft.graph()


def _keeps_bytes(draft: Draft, op: Op) -> bool:
    """Whether the output has the bytes of the first input, in the same order."""
    source, output = draft.tensors[op.inputs[0]], draft.tensors[op.outputs[0]]
    rule = facts(op).keeps_bytes
    if rule is None or source.elements != output.elements or source.dtype != output.dtype:
        return False
    return rule(draft.graph(), op)
