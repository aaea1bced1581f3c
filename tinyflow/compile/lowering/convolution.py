"""CONV_2D (grouped too) and FULLY_CONNECTED."""

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.step import Step, int8, need
from tinyflow.compile.lowering.weights import biases, constant_weights, geometry, offsets, per_channel
from tinyflow.compile.needs import Needs


def conv_2d_needs(graph: Graph, op: Op) -> Needs:
    return Needs()


def fully_connected_needs(graph: Graph, op: Op) -> Needs:
    return Needs()


def conv_2d(graph: Graph, op: Op) -> Step:
    weights = constant_weights(graph, op)
    source, output = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
    channels, filter_h, filter_w, depth = weights.shape
    need(
        source[3] % depth == 0 and channels % (source[3] // depth) == 0 and output[3] == channels and output[0] == source[0],
        graph,
        op,
        f"weights {list(weights.shape)} do not fit an input of {source[3]} channels and an output {list(output)}",
    )
    fields = {
        "weights": weights.data,
        "bias": biases(graph, op, channels),
        "quant": per_channel(graph, op, weights, 0),
        "batches": source[0],
        "input_height": source[1],
        "input_width": source[2],
        "input_channels": source[3],
        "output_height": output[1],
        "output_width": output[2],
        "output_channels": channels,
        "filter_height": filter_h,
        "filter_width": filter_w,
        "filter_channels": depth,
        **geometry(op),
        **offsets(graph, op),
    }
    macs = output[1] * output[2] * weights.elements
    return Step.of(op, "conv_2d_s8", "conv_2d_s8_params", fields, (op.inputs[0], op.outputs[0]), macs)


def fully_connected(graph: Graph, op: Op) -> Step:
    weights = constant_weights(graph, op)
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    need(op.options["weights_format"] == 0, graph, op, "weights are stored shuffled", "convert without shuffled weights")
    need(len(weights.shape) == 2, graph, op, f"weights {weights.name!r} are {list(weights.shape)}, not 2-D")
    outputs, depth = weights.shape
    batches = source.elements // depth
    need(
        source.elements == batches * depth and output.elements == batches * outputs and output.shape[-1:] == (outputs,),
        graph,
        op,
        f"weights {list(weights.shape)} do not fit {list(source.shape)} -> {list(output.shape)}",
    )
    bias = biases(graph, op, outputs)
    (input_scale, _), (output_scale, _) = int8(graph, op, op.inputs[0]), int8(graph, op, op.outputs[0])
    quant = per_channel(graph, op, weights, 0)
    if not quant["quant_step"]:  # TFLM checks the bias only here
        _check_bias_scale(graph, op, float(input_scale) * float(weights.quantization.scale[0]), float(output_scale))
    fields = {
        "weights": weights.data,
        "bias": bias,
        "quant": quant,
        "batches": batches,
        "depth": depth,
        "outputs": outputs,
        **offsets(graph, op),
    }
    kernel = "fully_connected_s8"
    return Step.of(op, kernel, kernel + "_params", fields, (op.inputs[0], op.outputs[0]), batches * depth * outputs)


def _check_bias_scale(graph: Graph, op: Op, product: float, output_scale: float) -> None:
    if len(op.inputs) < 3 or op.inputs[2] < 0:
        return
    quantization = graph.tensor(op.inputs[2]).quantization
    scale = float(quantization.scale[0]) if quantization is not None else 0.0
    need(
        abs(product - scale) / output_scale <= 0.02,
        graph,
        op,
        f"the bias has scale {scale:g}; input times weight scale is {product:g}",
    )
