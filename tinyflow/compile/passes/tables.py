"""Functions of one value go into the planar depthwise convolutions that read them: a table of 256, applied on the way
in.

RELU between scales, LOGISTIC, QUANTIZE and the like cost a pass over the map and a place for it; a depthwise kernel
copies each plane anyway. So where all readers are such convolutions, they read the function's input:
``table`` (int8, (256,), from -128 on) with ``input_scale`` and ``input_zero_point`` of what it gives; in networks
without quantisation ``rectified``. More than two readers would look each value up more often than one pass does.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.needs import PLANAR
from tinyflow.compile.operators import facts, named, needs
from tinyflow.compile.operators.axes import Values
from tinyflow.compile.passes.draft import Draft

DEPTHWISE_CONV_2D = named("DEPTHWISE_CONV_2D")
MOST = 2  # readers


def fuse_tables(graph: Graph) -> Graph:
    draft = Draft(graph)
    for op in graph.ops:
        output = op.outputs[0]
        readers = draft.readers(output)
        results = facts(op).results
        if results is None or output in graph.outputs or not 0 < len(readers) <= MOST:
            continue
        if graph.tensor(op.inputs[0]).dtype != "int8" or not all(_applies(graph, reader, output) for reader in readers):
            continue
        more = _table(graph, op, results)
        draft.put(op, [])
        for reader in readers:
            draft.put(
                reader, [replace(reader, inputs=(op.inputs[0], *reader.inputs[1:]), options=reader.options | more)]
            )
    return draft.graph()


def _applies(graph: Graph, reader: Op, index: int) -> bool:
    fits = (
        reader.kind == DEPTHWISE_CONV_2D
        and reader.inputs[0] == index
        and not {"table", "rectified"} & set(reader.options)
    )
    return fits and needs(graph, reader).layout == PLANAR


def _table(graph: Graph, op: Op, results: Callable[[Graph, Op], Values]) -> dict[str, Any]:
    quantization = graph.tensor(op.outputs[0]).quantization
    if quantization is None:
        return {"rectified": True}
    return {
        "table": results(graph, op),
        "input_scale": quantization.scale[0],
        "input_zero_point": int(quantization.zero_point[0]),
    }
