"""DEPTHWISE_CONV_2D."""

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.step import Step, need
from tinyflow.compile.lowering.weights import biases, constant_weights, geometry, offsets, per_channel
from tinyflow.compile.needs import Needs


def depthwise_conv_2d_needs(graph: Graph, op: Op) -> Needs:
    return Needs()


def depthwise_conv_2d(graph: Graph, op: Op) -> Step:
    weights = constant_weights(graph, op)
    source, output = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
    one, filter_h, filter_w, channels = weights.shape
    multiplier = channels // source[3]
    need(
        one == 1 and channels == source[3] * multiplier == output[3] and output[0] == source[0],
        graph,
        op,
        f"weights {list(weights.shape)} do not fit an input of {source[3]} channels and an output {list(output)}",
    )
    need(
        op.options["channel_multiplier"] in (0, multiplier),
        graph,
        op,
        f"the depth multiplier {op.options['channel_multiplier']} contradicts {source[3]} channels in, {channels} out",
    )
    fields = {
        "weights": weights.data,
        "bias": biases(graph, op, channels),
        "quant": per_channel(graph, op, weights, 3),
        "batches": source[0],
        "input_height": source[1],
        "input_width": source[2],
        "input_channels": source[3],
        "output_height": output[1],
        "output_width": output[2],
        "channel_multiplier": multiplier,
        "filter_height": filter_h,
        "filter_width": filter_w,
        **geometry(op),
        **offsets(graph, op),
    }
    macs = output[1] * output[2] * weights.elements
    kernel = "depthwise_conv_2d_s8"
    return Step.of(op, kernel, kernel + "_params", fields, (op.inputs[0], op.outputs[0]), macs)
