"""RELU and RELU6 become the activation of the operator before them, where that is exact.

On one scale and zero point both only clamp, which is what a fused activation does to the same values. Between scales
RELU
rescales: rounding twice is not rounding once, so that one stays. So it does in networks without quantisation, where the
converter has fused what it could and gives the others scales of their own.
"""

from dataclasses import replace

from tinyflow.compile.graph import Graph
from tinyflow.compile.passes.draft import Draft

KINDS = ("ADD", "AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D", "MUL", "SUB")


def fuse_activations(graph: Graph) -> Graph:
    draft = Draft(graph)
    for position in range(len(graph.ops)):
        op = draft.maker(graph.ops[position].outputs[0])
        if op is None or op.kind not in ("RELU", "RELU6"):
            continue
        maker = draft.maker(op.inputs[0])
        known = draft.tensors[op.outputs[0]].quantization is not None
        alone = known and draft.sole_reader(op.inputs[0]) is op and draft.alike(op.inputs[0], op.outputs[0])
        if alone and maker is not None and maker.kind in KINDS and maker.options["activation"] == "NONE":
            draft.put(op, [])
            draft.put(maker, [replace(maker, outputs=op.outputs, options=maker.options | {"activation": op.kind})])
    return draft.graph()
