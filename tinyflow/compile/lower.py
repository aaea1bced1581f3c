"""From an int8 .tflite to C, a memory plan and its picture: the core shared by foreign and trained models."""

import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tinyflow.compile.artefact import CompiledModel, Port
from tinyflow.compile.cgen import generate_model
from tinyflow.compile.graph import Graph, Tensor
from tinyflow.compile.passes import run_passes
from tinyflow.compile.plan import MemoryPlan, plan_memory
from tinyflow.compile.savings import memory_report
from tinyflow.compile.tflite import read_tflite
from tinyflow.errors import TinyflowError


def lower(tflite: Path, out: Path, name: str, reference: bool = False, **extra: Any) -> CompiledModel:
    """Compiles ``tflite`` into ``out``: model_int8.tflite (a copy, unless it is there already), c/, and
    arena.png where matplotlib is installed.

    Returns the CompiledModel, not yet written; reference: with the reference kernels (Graph.reference); ``extra`` are
    further fields of it (labels, frontend, ...).
    Errors: what the reader, the kernels or TFLM refuse; not exactly one int8 input and one int8 output.
    """
    model, plan = translate(tflite, out, name, reference, **extra)
    if not model.layers:
        raise TinyflowError(
            f"{tflite.name} computes nothing: no operator lies between its input and its output",
            "export the whole network",
        )
    if not model.tflite.exists() or not model.tflite.samefile(tflite):
        shutil.copyfile(tflite, model.tflite)
    if not without_pictures():
        plan.picture(out / "arena.png")
    return model


def without_pictures() -> str:
    """The line that says that there is no picture of the plan; empty where there is one."""
    return "" if find_spec("matplotlib") else "no picture of the arena: matplotlib is not installed"


def translate(
    tflite: Path, out: Path, name: str, reference: bool = False, **extra: Any
) -> tuple[CompiledModel, MemoryPlan]:
    """The part of ``lower`` that writes C."""
    graph = run_passes(replace(read_tflite(tflite), reference=reference))
    source, output = interface(graph)
    plan = plan_memory(graph)
    out.mkdir(parents=True, exist_ok=True)
    layers, model_bytes, macs = generate_model(graph, plan, out / "c")
    computed = {layer.tensor for layer in layers}
    model = CompiledModel(
        folder=out,
        name=name,
        input=source,
        output=output,
        layers=layers,
        arena_bytes=plan.arena_bytes,
        arena_bound_bytes=plan.bound_bytes,
        model_bytes=model_bytes,
        macs=macs,
        placed=plan.placed([op.outputs[0] in computed for op in graph.ops]),
        memory=memory_report(graph, plan),
        **extra,
    )
    return model, plan


def interface(graph: Graph) -> tuple[Port, Port]:
    """The one int8 input and the one int8 output; anything else is refused, naming them all."""
    sides = {"input": graph.inputs, "output": graph.outputs}
    if all(len(side) == 1 and graph.tensor(side[0]).dtype == "int8" for side in sides.values()):
        return _port(graph, graph.tensor(graph.inputs[0])), _port(graph, graph.tensor(graph.outputs[0]))
    said = "; ".join(
        f"{side}s: "
        + (
            ", ".join(
                f"{graph.tensor(i).name!r} {graph.tensor(i).dtype} {list(graph.tensor(i).shape)}" for i in indices
            )
            or "none"
        )
        for side, indices in sides.items()
    )
    raise TinyflowError(
        f"{graph.name} must have exactly one int8 input and one int8 output; {said}",
        "convert with inference_input_type and inference_output_type int8, and one head",
    )


def _port(graph: Graph, tensor: Tensor) -> Port:
    if tensor.quantization is None or len(tensor.quantization.scale) != 1:
        raise TinyflowError(
            f"{graph.name}: {tensor.name!r} has no single scale and zero point", "convert with full int8 quantisation"
        )
    return Port(
        tensor.name,
        tensor.shape,
        tensor.dtype,
        float(tensor.quantization.scale[0]),
        int(tensor.quantization.zero_point[0]),
    )
