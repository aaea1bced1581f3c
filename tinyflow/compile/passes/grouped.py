"""Convolutions of one channel per group are depthwise, and depthwise ones of a single channel are plain convolutions.

TFLM computes both alike: output channel c reads input channel c // multiplier. Only the order of the weights differs,
(channels, rows, columns, 1) against (1, rows, columns, channels).
"""

from dataclasses import replace
from typing import Any

from tinyflow.compile.graph import Graph, Op, Quantization
from tinyflow.compile.operators import OPERATORS, named
from tinyflow.compile.passes.draft import Draft

CONV_2D, DEPTHWISE_CONV_2D = named("CONV_2D"), named("DEPTHWISE_CONV_2D")


def untangle_groups(graph: Graph) -> Graph:
    """CONV_2D with as many groups as channels becomes DEPTHWISE_CONV_2D; DEPTHWISE_CONV_2D of one channel CONV_2D."""
    draft = Draft(graph)
    for op in graph.ops:
        if op.kind not in (CONV_2D, DEPTHWISE_CONV_2D):
            continue
        source, weights = draft.tensors[op.inputs[0]], draft.tensors[op.inputs[1]]
        if not weights.constant or len(weights.shape) != 4:
            continue
        channels, outputs = source.shape[3], draft.tensors[op.outputs[0]].shape[3]
        if (
            op.kind == CONV_2D
            and weights.shape[3] == 1
            and channels > 1
            and weights.shape[0] == outputs
            and outputs % channels == 0
        ):
            options = op.options | {"channel_multiplier": outputs // channels}
            draft.put(op, [_rearranged(draft, op, DEPTHWISE_CONV_2D, options)])
        elif op.kind == DEPTHWISE_CONV_2D and channels == 1 and weights.shape[0] == 1 and weights.shape[3] == outputs:
            options = {name: value for name, value in op.options.items() if name != "channel_multiplier"}
            draft.put(op, [_rearranged(draft, op, CONV_2D, options)])
    return draft.graph()


def _rearranged(draft: Draft, op: Op, kind: str, options: dict[str, Any]) -> Op:
    """``op`` as the other kind: first and last axis of the weights change places."""
    weights, quantization = draft.tensors[op.inputs[1]], draft.tensors[op.inputs[1]].quantization
    axis = OPERATORS[kind].weights
    if quantization is not None and axis is not None:
        quantization = Quantization(quantization.scale, quantization.zero_point, axis)
    index = draft.constant(weights.name, weights.values.transpose(3, 1, 2, 0), quantization)
    return replace(op, kind=kind, inputs=(op.inputs[0], index, *op.inputs[2:]), options=options)
