"""Counted instructions of our kernels on an emulated Cortex-M4F, beside recorded figures of TFLM and CMSIS-NN.

    python benchmarks/kernels.py [ds_cnn resnet8 mobilenet autoencoder] [--rows 2] [--json]

Each network is compiled, built for mps2-an386 and run under QEMU on random rows, whose answers must equal tflite_micro's.
Ours are counted here and now; TFLM's stand in recorded.json with their versions. The weights differ (ours are seeded random
ones in the same shapes), which moves counts hardly at all: the kernels do the same work for any weights.

These are executed instructions under QEMU, not cycles: no flash wait states, no stalls. Our arena holds tensors alone;
TFLM's also its interpreter's structures.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mlperf_tiny import MODELS

from tinyflow.board import load_board
from tinyflow.compile.foreign import compile_tflite
from tinyflow.deploy.build import build
from tinyflow.deploy.qemu import qemu_version
from tinyflow.deploy.run import run_rows
from tinyflow.errors import TinyflowError

BOARD = "mps2-an386"
UNIT = "executed instructions under QEMU, not cycles"
RECORDED = Path(__file__).resolve().parent / "recorded.json"


def count(name: str, folder: Path, rows: int) -> dict[str, Any]:
    """One network, counted in the emptied ``folder``. TinyflowError when an answer differs from tflite_micro's."""
    from tinyflow.compile import oracle

    builder, macs = MODELS[name]
    path = folder / f"{name}.tflite"
    path.write_bytes(builder())
    board = load_board(BOARD)
    compiled = compile_tflite(path, folder / "compile")
    firmware = build(compiled, board, folder / "build")
    x = np.random.default_rng(0).integers(-128, 128, (rows, *compiled.input.shape[1:])).astype(np.int8)
    answers, facts = run_rows(firmware, board, compiled, x)
    if not np.array_equal(answers, oracle.invoke(path, x)):
        raise TinyflowError(f"{name} on {BOARD} differs from {oracle.version()}", f"tinyflow validate --tflite {name}.tflite")
    return {"model": name, "macs": macs, "label": "counted", "bit_exact_rows": rows, **facts}


def compare(counted: dict[str, Any], recorded: dict[str, Any]) -> dict[str, Any]:
    """``counted`` with the recorded figures of the same network, and how many times as many instructions ours takes."""
    ours = counted["instructions_per_inference"]
    return {
        **counted,
        "instructions_per_mac": ours / counted["macs"],
        "recorded": recorded,
        "ratio_to_tflm_reference": ours / recorded["tflm_reference"],
        "ratio_to_tflm_cmsis_nn": ours / recorded["tflm_cmsis_nn"],
    }


def show(result: dict[str, Any]) -> str:
    recorded = result["recorded"]
    lines = [
        f"Instructions of one inference on {BOARD}: {UNIT}.",
        f"ours, counted: {result['models'][0]['compiler']}, {result['models'][0]['flags']}, QEMU {result['qemu']}",
        f"TFLM, {recorded['label']}: {recorded['compiler']} {recorded['optimisation']}, {recorded['board']}, {recorded['tflm']}, {recorded['cmsis_nn']}",
        "",
        f"{'':12} {'MACs':>11} {'ours':>12} {'per MAC':>8} {'TFLM reference':>15} {'ours/it':>8} {'TFLM+CMSIS-NN':>14} {'ours/it':>8} {'arena':>8} {'TFLM':>8}",
    ]
    for model in result["models"]:
        theirs = model["recorded"]
        lines.append(
            f"{model['model']:12} {model['macs']:11,} {model['instructions_per_inference']:12,} {model['instructions_per_mac']:8.2f} "
            f"{theirs['tflm_reference']:15,} {model['ratio_to_tflm_reference']:8.2f} {theirs['tflm_cmsis_nn']:14,} "
            f"{model['ratio_to_tflm_cmsis_nn']:8.2f} {model['arena_bytes']:8,} {theirs['arena_bytes']:8,}"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="model", help=f"of {', '.join(MODELS)}; default: all")
    parser.add_argument("--rows", type=int, default=2, help="random rows to count and compare (default 2)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.models if name not in MODELS]
    if unknown or options.rows < 1:
        parser.error(f"no model {unknown[0]!r}; there are {', '.join(MODELS)}" if unknown else "--rows must be at least 1")
    recorded = json.loads(RECORDED.read_text())
    figures = recorded.pop("models")
    models = []
    for name in options.models or MODELS:
        print(f"counting {name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="tinyflow-benchmark-") as folder:
            models.append(compare(count(name, Path(folder), options.rows), figures[name]))
    result = {"board": BOARD, "unit": UNIT, "qemu": ".".join(map(str, qemu_version())), "recorded": recorded, "models": models}
    print(json.dumps(result, indent=2) if options.json else show(result))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TinyflowError as error:
        sys.exit(f"error: {error.message}\n hint: {error.hint}")
