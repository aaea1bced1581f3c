"""Which operators we compile, and the lowering of each. Views (RESHAPE and its kin) and placed CONCATENATIONs are the
plan's alone: no code.
"""

from collections.abc import Callable

from tinyflow.compile.graph import VIEWS, Graph, Op
from tinyflow.compile.lowering import convolution, depthwise, elementwise, layout, pooling
from tinyflow.compile.lowering.step import Step, need, refuse
from tinyflow.compile.needs import Needs

LOWERINGS: dict[str, Callable[[Graph, Op], Step]] = {
    "ADD": elementwise.add,
    "AVERAGE_POOL_2D": pooling.pool_2d,
    "CONCATENATION": layout.concatenation,
    "CONV_2D": convolution.conv_2d,
    "DEPTHWISE_CONV_2D": depthwise.depthwise_conv_2d,
    "DEQUANTIZE": elementwise.dequantize,
    "FULLY_CONNECTED": convolution.fully_connected,
    "HARD_SWISH": elementwise.unary,
    "LAYOUT": layout.layout,
    "LOGISTIC": elementwise.unary,
    "MAX_POOL_2D": pooling.pool_2d,
    "MEAN": pooling.mean,
    "MUL": elementwise.mul,
    "PAD": layout.pad,
    "PADV2": layout.pad,
    "QUANTIZE": elementwise.quantize,
    "RELU": elementwise.unary,
    "RELU6": elementwise.unary,
    "RESIZE_NEAREST_NEIGHBOR": layout.resize_nearest_neighbor,
    "SOFTMAX": pooling.softmax,
    "STRIDED_SLICE": layout.strided_slice,
    "SUB": elementwise.add,
    "TRANSPOSE": layout.transpose,
}

NEEDS: dict[str, Callable[[Graph, Op], Needs]] = {
    "ADD": elementwise.needs,
    "AVERAGE_POOL_2D": pooling.pool_2d_needs,
    "CONCATENATION": layout.moves_needs,
    "CONV_2D": convolution.conv_2d_needs,
    "DEPTHWISE_CONV_2D": depthwise.depthwise_conv_2d_needs,
    "FULLY_CONNECTED": convolution.fully_connected_needs,
    "HARD_SWISH": elementwise.needs,
    "LOGISTIC": elementwise.needs,
    "MAX_POOL_2D": pooling.pool_2d_needs,
    "MEAN": pooling.mean_needs,
    "MUL": elementwise.needs,
    "PAD": layout.moves_needs,
    "PADV2": layout.moves_needs,
    "QUANTIZE": elementwise.needs,
    "RELU": elementwise.needs,
    "RELU6": elementwise.needs,
    "RESIZE_NEAREST_NEIGHBOR": layout.moves_needs,
    "STRIDED_SLICE": layout.moves_needs,
    "SUB": elementwise.needs,
}


def needs(graph: Graph, op: Op) -> Needs:
    """What the kernel of ``op`` wants; shapes suffice, the layout flags of its tensors are taken as they are."""
    return NEEDS[op.kind](graph, op) if op.kind in NEEDS else Needs()


def lower_graph(graph: Graph) -> tuple[Step, ...]:
    """Every operator that needs code, in order. Errors name the first that we, or TFLM, do not compute."""
    steps = []
    for op in graph.ops:
        if op.kind in VIEWS:
            source, output = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
            need(
                source.bytes == output.bytes and source.dtype == output.dtype,
                graph,
                op,
                f"{list(source.shape)} -> {list(output.shape)}",
            )
        elif op.placed:
            continue
        elif op.kind in LOWERINGS:
            steps.append(LOWERINGS[op.kind](graph, op))
        else:
            refuse(graph, op, "is not supported", f"supported: {', '.join(sorted([*LOWERINGS, *VIEWS]))}")
    return tuple(steps)
