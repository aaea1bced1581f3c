"""Straight-line C of a network: out/model.c and out/model_config.h, implementing firmware/model/model.h.

Every layer is a function of its own (a symbol for profilers) that hands constant structs to the kernels of
firmware/kernels. The text depends on the graph and the plan alone: equal inputs give equal bytes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyflow.compile.artefact import Layer
from tinyflow.compile.graph import Graph
from tinyflow.compile.lowering.step import Step
from tinyflow.compile.operators import lower_graph, needs
from tinyflow.compile.plan import ALIGNMENT, MemoryPlan
from tinyflow.errors import TinyflowError

LICENCE = "/* SPDX-License-Identifier: Apache-2.0 */"
PREFIX = "model_const_"  # deploy/image/sizes.py measures the model's share of flash by it
C_TYPES = {"int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "float32": "float"}


def generate_model(graph: Graph, plan: MemoryPlan, out: Path) -> tuple[tuple[Layer, ...], int, int]:
    """Writes the C of ``graph`` under ``out``.

    Returns (layers, model_bytes, macs): bytes of packed weights, biases, multipliers and tables in flash;
    multiply-accumulates of convolutions and fully connected layers, batch 1, padding counted.
    Errors: an operator that the kernels, or TFLM, do not compute.
    """
    for index in (*graph.inputs, *graph.outputs):
        if graph.tensor(index).constant:
            raise TinyflowError(
                f"{graph.name}: {graph.tensor(index).name!r} is a constant input or output", "export it again"
            )
    steps = lower_graph(graph)
    constants = Constants()
    bodies, sizes = [], []
    for index, step in enumerate(steps):
        before = constants.bytes
        bodies.append(_layer(graph, plan, step, index, constants))
        sizes.append(constants.bytes - before)
    layers = _layers(graph, plan, steps, sizes)
    out.mkdir(parents=True, exist_ok=True)
    (out / "model_config.h").write_text(_config(graph, plan, len(steps)))
    (out / "model.c").write_text(_source(graph, plan, bodies, constants))
    return layers, constants.bytes, sum(layer.macs for layer in layers)


@dataclass
class Constants:
    """Arrays in flash; equal ones are stored once."""

    names: dict[tuple[str, bytes], str] = field(default_factory=dict)
    definitions: list[str] = field(default_factory=list)
    bytes: int = 0

    def add(self, array: NDArray[Any], name: str) -> str:
        data = np.ascontiguousarray(array).reshape(-1)
        key = (data.dtype.name, data.tobytes())
        if key not in self.names:
            self.names[key] = PREFIX + name
            self.bytes += data.nbytes
            self.definitions.append(
                f"MODEL_ALIGNED(4) static const {C_TYPES[data.dtype.name]} {PREFIX}{name}[{data.size}] ="
                f" {{\n{_rows(data)}\n}};"
            )
        return self.names[key]


def number(value: int | float) -> str:
    """A C literal of exactly this value.

    >>> number(-2147483648), number(0.5)
    ('(-2147483647 - 1)', '0x1.0000000000000p-1f')
    """
    if isinstance(value, float):
        return f"{value.hex()}f"
    return "(-2147483647 - 1)" if value == -(1 << 31) else str(int(value))


def _rows(data: NDArray[Any], width: int = 112) -> str:
    lines, line = [], " "
    for value in data.tolist():
        text = f" {number(value)},"
        if len(line) + len(text) > width:
            lines.append(line)
            line = " "
        line += text
    return "\n".join([*lines, line])


def _initialiser(value: Any, name: str, constants: Constants) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, np.ndarray):
        return constants.add(value, name)
    if isinstance(value, dict):
        parts = (f".{key} = {_initialiser(item, f'{name}_{key}', constants)}" for key, item in value.items())
        return "{" + ", ".join(parts) + "}"
    if isinstance(value, str):
        return value  # a function's name
    if isinstance(value, tuple):
        return "{" + ", ".join(number(item) for item in value) + "}"
    return number(value)


def _layer(graph: Graph, plan: MemoryPlan, step: Step, index: int, constants: Constants) -> str:
    """Parameters and function of one layer."""
    output = graph.tensor(step.op.outputs[0])
    source = graph.tensor(step.op.inputs[0])
    shapes = f"{'x'.join(map(str, source.shape))} -> {'x'.join(map(str, output.shape))}"
    structs, calls = [], []
    for position, call in enumerate(step.calls):
        name = f"model_params_{index}" + (f"_{position}" if len(step.calls) > 1 else "")
        fields = ",\n".join(
            f"  .{key} = {_initialiser(value, f'{index}_{key}', constants)}" for key, value in call.fields.items()
        )
        structs.append(f"static const {call.params} {name} = {{\n{fields},\n}};")
        places = [_place(graph, plan, tensor, index, constants) for tensor in call.tensors]
        if call.scratch:
            places.append(f"arena + {plan.scratch[step.op.outputs[0]]}")
        calls.append(f"  {call.kernel}(&{name}, {', '.join(places)});")
    body = "\n".join([*structs, "", f"MODEL_NOINLINE void model_layer_{index}(void) {{", *calls, "}"])
    return f"/* {step.op.kind} {shapes} */\n{body}"


def _place(graph: Graph, plan: MemoryPlan, tensor: int, index: int, constants: Constants) -> str:
    if graph.tensor(tensor).constant:
        return constants.add(graph.tensor(tensor).values, f"{index}_tensor_{tensor}")
    return f"arena + {plan.offsets[tensor]}"


def _layers(graph: Graph, plan: MemoryPlan, steps: Iterable[Step], sizes: Sequence[int]) -> tuple[Layer, ...]:
    layers, taken = [], set()
    for index, step in enumerate(steps):
        tensor = step.op.outputs[0]
        output = graph.tensor(tensor)
        source = next((i for i in step.op.inputs if i >= 0 and not graph.tensor(i).constant), step.op.inputs[0])
        name = output.name if output.name not in taken else f"{output.name}#{tensor}"
        taken.add(name)
        layers.append(
            Layer(
                index=index,
                kind=step.op.kind,
                name=name,
                tensor=tensor,
                input_shape=graph.tensor(source).shape,
                output_shape=output.shape,
                macs=step.macs,
                offset=plan.offsets[tensor],
                bytes=output.bytes,
                model_bytes=sizes[index],
                planar=output.planar,
                kernels=tuple(call.kernel for call in step.calls),
                in_place=any(
                    plan.offsets[i] == plan.offsets[tensor]
                    for i in step.op.inputs
                    if i >= 0 and not graph.tensor(i).constant
                ),
                scratch=needs(graph, step.op).scratch,
            )
        )
    return tuple(layers)


def _config(graph: Graph, plan: MemoryPlan, layers: int) -> str:
    return f"""{LICENCE}
/* Generated by tinyflow compile: sizes of the network in model.c. */
#ifndef TINYFLOW_MODEL_CONFIG_H
#define TINYFLOW_MODEL_CONFIG_H

#define MODEL_INPUT_BYTES {graph.tensor(graph.inputs[0]).bytes}
#define MODEL_OUTPUT_BYTES {graph.tensor(graph.outputs[0]).bytes}
#define MODEL_ARENA_BYTES {plan.arena_bytes}
#define MODEL_LAYERS {layers}

#endif
"""


def _source(graph: Graph, plan: MemoryPlan, bodies: list[str], constants: Constants) -> str:
    count = len(bodies)
    parts = [
        LICENCE,
        "/* Generated by tinyflow compile. */",
        '#include "model.h"\n\n#include <stddef.h>\n\n#include "kernels.h"\n#include "model_config.h"',
        (
            "#if defined(__GNUC__)\n"
            "#define MODEL_NOINLINE __attribute__((noinline)) /* a symbol each, for profilers */\n"
            "#define MODEL_ALIGNED(n) __attribute__((aligned(n)))\n"
            "#else\n#define MODEL_NOINLINE\n#define MODEL_ALIGNED(n)\n#endif"
        ),
        f"MODEL_ALIGNED({ALIGNMENT}) static int8_t arena[MODEL_ARENA_BYTES];",
        "\n".join(f"void model_layer_{index}(void);" for index in range(count)),
        *constants.definitions,
        *bodies,
        "void model_init(void) {}",
        f"int8_t *model_input(void) {{ return arena + {plan.offsets[graph.inputs[0]]}; }}",
        f"const int8_t *model_output(void) {{ return arena + {plan.offsets[graph.outputs[0]]}; }}",
        "const int8_t *model_arena(void) { return arena; }",
        "void model_invoke(void) {\n" + "".join(f"  model_layer_{index}();\n" for index in range(count)) + "}",
        _by_index(count),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _by_index(count: int) -> str:
    if count == 0:
        return "void model_invoke_layer(int index) { (void)index; }"
    table = "".join(f"    model_layer_{index},\n" for index in range(count))
    return (
        f"void model_invoke_layer(int index) {{\n  static void (*const layers[MODEL_LAYERS])(void) = {{\n{table}  }};\n"
        "  if (index >= 0 && index < MODEL_LAYERS) layers[index]();\n}"
    )
