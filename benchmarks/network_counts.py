"""Executed instructions of a .tflite with our kernels on the emulated Cortex-M4F, layer by layer, answers checked
against tflite_micro.

``count`` is for any int8 model of the operators that we compile: benchmarks/kernels.py and the DARTS benchmarks share
it.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tinyflow.board import load_board
from tinyflow.compile.artefact import Layer
from tinyflow.compile.foreign import compile_tflite
from tinyflow.deploy.build import build
from tinyflow.deploy.places.place import choose_place
from tinyflow.deploy.profile import profile
from tinyflow.deploy.run import run_rows
from tinyflow.deploy.target import Target
from tinyflow.errors import TinyflowError
from tinyflow.results import to_json

BOARD = "mps2-an386"
UNIT = "executed instructions under QEMU, not cycles"


def random_rows(shape: tuple[int, ...], rows: int) -> np.ndarray:
    """int8 (rows, *shape without batch), seeded."""
    return np.random.default_rng(0).integers(-128, 128, (rows, *shape[1:])).astype(np.int8)


def count(tflite: Path, folder: Path, rows: int = 2, reference: bool = False) -> dict[str, Any]:
    """Compiles, builds, runs and profiles ``tflite`` in the new ``folder``. reference: with our reference kernels.

    Returns instructions_per_inference, instructions_per_mac, arena, flash, model, RAM and stack bytes, compiler and
    flags, and ``layers``: kind, sort, kernel, shapes, macs, instructions, per_mac of each. TinyflowError when an answer
    differs from tflite_micro's.
    """
    from tinyflow.reference import oracle

    board = load_board(BOARD)
    compiled = compile_tflite(tflite, folder / "compile", reference=reference)
    firmware = build(compiled, board, folder / "build")
    x = random_rows(compiled.input.shape, rows)
    answers, facts = run_rows(Target(firmware, compiled, choose_place(board)), x)
    if not np.array_equal(answers, oracle.invoke(tflite, x)):
        raise TinyflowError(
            f"{tflite.name} on {BOARD} differs from {oracle.version()}", f"tinyflow validate --tflite {tflite}"
        )
    kernels = _kernels(compiled.c / "model.c")
    layers = [
        {
            "tensor": layer.tensor,
            "kind": layer.kind,
            "sort": sort(layer),
            "kernel": kernels[layer.index],
            "input_shape": list(layer.input_shape),
            "output_shape": list(layer.output_shape),
            "macs": layer.macs,
            "instructions": counted.units,
            "per_mac": counted.units_per_mac,
        }
        for layer, counted in zip(compiled.layers, profile(Target(firmware, compiled, choose_place(board))).layers)
    ]
    return {
        "kernels": "ours, reference" if reference else "ours",
        "label": "counted",
        "macs": compiled.macs,
        "input_shape": list(compiled.input.shape),
        "instructions_per_mac": facts.instructions_per_inference / compiled.macs if compiled.macs else None,
        "arena_bound_bytes": compiled.arena_bound_bytes,
        "bit_exact_rows": rows,
        **to_json(facts),
        "layers": layers,
    }


def sort(layer: Layer) -> str:
    """What a convolution is, for sums over layers of the same sort; the kind of any other operator."""
    if layer.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return layer.kind
    channels, elements = layer.input_shape[3], int(np.prod(layer.output_shape))
    if layer.kind == "DEPTHWISE_CONV_2D":
        taps = layer.macs // elements
        side = round(taps**0.5)
        return f"depthwise {side}x{side}" if side * side == taps else "depthwise"
    if channels <= 4:
        return "first convolution"
    return "pointwise" if layer.macs == elements * channels else "convolution"


def by_sort(layers: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Sums over the layers of a sort: layers, macs, instructions, per_mac; the dearest first."""
    sums: dict[str, dict[str, Any]] = {}
    for layer in layers:
        entry = sums.setdefault(layer["sort"], {"layers": 0, "macs": 0, "instructions": 0})
        entry["layers"] += 1
        entry["macs"] += layer["macs"]
        entry["instructions"] += layer["instructions"]
    for entry in sums.values():
        entry["per_mac"] = entry["instructions"] / entry["macs"] if entry["macs"] else None
    return dict(sorted(sums.items(), key=lambda item: -item[1]["instructions"]))


def _kernels(source: Path) -> list[str]:
    """The kernels that each layer of the generated C calls."""
    bodies = re.findall(r"void model_layer_\d+\(void\) \{\n(.*?)\n\}", source.read_text(), re.DOTALL)
    return [" ".join(dict.fromkeys(re.findall(r"^  (\w+)\(", body, re.MULTILINE))) for body in bodies]
