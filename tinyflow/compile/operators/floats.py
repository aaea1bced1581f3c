"""QUANTIZE and DEQUANTIZE: between float32 and int8, and between two scales of int8."""

from dataclasses import replace

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.step import Step, int8, need, same_size
from tinyflow.compile.needs import nothing
from tinyflow.compile.operators import axes
from tinyflow.compile.operators.elementwise import elementwise_needs
from tinyflow.compile.operators.registry import Channels, Operator, Row, Trait, register
from tinyflow.compile.operators.unary import rescaled, unary


def quantize(graph: Graph, op: Op) -> Step:
    if graph.tensor(op.inputs[0]).dtype != "float32":
        return unary(graph, op)
    scale, zero = int8(graph, op, op.outputs[0])
    fields = {"elements": same_size(graph, op), "scale": float(scale), "zero_point": zero}
    return Step.of(op, "quantize_f32_s8", "affine_params", fields, (op.inputs[0], op.outputs[0]))


def dequantize(graph: Graph, op: Op) -> Step:
    output = graph.tensor(op.outputs[0])
    need(output.dtype == "float32", graph, op, f"the output is {output.dtype}, not float32")
    scale, zero = int8(graph, op, op.inputs[0])
    fields = {"elements": same_size(graph, op), "scale": float(scale), "zero_point": zero}
    return Step.of(op, "dequantize_s8_f32", "affine_params", fields, (op.inputs[0], op.outputs[0]))


def _same_scale(graph: Graph, op: Op) -> bool:
    source = graph.tensor(op.inputs[0])
    return source.quantization is not None and source.alike(graph.tensor(op.outputs[0]))


QUANTIZE = Operator(
    kind="QUANTIZE",
    options=None,
    required=1,
    maps=1,
    weights=None,
    lower=quantize,
    needs=elementwise_needs,
    results=rescaled,
    evaluate=None,
    keeps_bytes=_same_scale,
    renamed=axes.one_by_one,
    channels=Channels.KEPT,
    traits=Trait.NONE,
    row=Row("as RELU; `quantize_f32_s8`", "int8 or float32 to int8"),
)
DEQUANTIZE = replace(
    QUANTIZE,
    kind="DEQUANTIZE",
    lower=dequantize,
    needs=nothing,
    results=None,
    keeps_bytes=None,
    channels=Channels.MIXED,
    row=Row("`dequantize_s8_f32`", "int8 to float32"),
)
register(QUANTIZE)
register(DEQUANTIZE)
