"""RELU and RELU6 become the activation of the operator before them, where that is exact.

On one scale and zero point both only clamp, which is what a fused activation does to the same values. Between scales
RELU rescales: rounding twice is not rounding once, so that one stays. So it does in networks without quantisation,
where the converter has fused what it could and gives the others scales of their own.
"""

from dataclasses import replace

from tinyflow.compile.graph import Graph
from tinyflow.compile.operators import Trait, facts
from tinyflow.compile.passes.draft import Draft


def fuse_activations(graph: Graph) -> Graph:
    draft = Draft(graph)
    for position in range(len(graph.ops)):
        op = draft.maker(graph.ops[position].outputs[0])
        if op is None or not facts(op).has(Trait.ACTIVATION):
            continue
        maker = draft.maker(op.inputs[0])
        known = draft.tensors[op.outputs[0]].quantization is not None
        alone = known and draft.sole_reader(op.inputs[0]) is op and draft.alike(op.inputs[0], op.outputs[0])
        fuses = maker is not None and facts(maker).has(Trait.FUSES_ACTIVATION)
        if alone and maker is not None and fuses and maker.options["activation"] == "NONE":
            draft.put(op, [])
            draft.put(maker, [replace(maker, outputs=op.outputs, options=maker.options | {"activation": op.kind})])
    return draft.graph()
