"""Counted instructions of our kernels on an emulated Cortex-M4F against TFLM's with reference and with CMSIS-NN
kernels.

    python benchmarks/kernels.py [ds_cnn resnet8 mobilenet autoencoder | model.tflite ...] [--rows 2] [--json] [--brief]

Each network is compiled, built for mps2-an386 and run under QEMU on random rows, with our kernels and with our
reference kernels; all answers must equal tflite_micro's. Printed are tables per layer and per sort of layer, sums,
arena, flash, and ratios.

MLPERF_TINY, a checkout of mlcommons/tiny, gives the networks with MLPerf Tiny's weights; else they are the same
architectures with seeded random int8 weights (counts depend on weights hardly at all). TFLM_ROOT (tflm_runtime.py)
gives TFLM's sides, counted in the same run; else they are the recorded figures of recorded.json.

These are executed instructions under QEMU, not cycles: no flash wait states, no stalls. Our arena holds tensors and
scratch; TFLM's, the smallest that its allocator accepts, also its interpreter's structures. Around both is the same
app.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mlperf_tiny import FILES, MODELS
from network_counts import BOARD, UNIT, by_sort, count, random_rows
from tflm_runtime import count_tflm, name_of
from tflm_runtime import sides as tflm_sides

from tinyflow.board import load_board
from tinyflow.deploy.places.qemu import qemu_version
from tinyflow.errors import TinyflowError

RECORDED = Path(__file__).resolve().parent / "recorded.json"


def model_file(name: str, folder: Path) -> tuple[Path, str]:
    """(.tflite, whose weights it has) of a network by its name, or of a path."""
    if name not in MODELS:
        return Path(name), Path(name).name
    root = os.environ.get("MLPERF_TINY")
    if root:
        found = sorted(Path(root).rglob(FILES[name]))
        if not found:
            raise TinyflowError(
                f"MLPERF_TINY is {root}, and no {FILES[name]} lies below it", "check out github.com/mlcommons/tiny"
            )
        return found[0], f"MLPerf Tiny's own ({FILES[name]})"
    path = folder / f"{name}.tflite"
    path.write_bytes(MODELS[name][0]())
    return path, "seeded random int8 (MLPERF_TINY is not set)"


def measure(name: str, folder: Path, rows: int, recorded: dict[str, Any] | None) -> dict[str, Any]:
    """One network, all sides."""
    from tinyflow.compile import load_compiled
    from tinyflow.reference import oracle

    path, weights = model_file(name, folder)
    ours = count(path, folder / "ours", rows)
    sides = [ours, count(path, folder / "reference", rows, reference=True)]
    x = random_rows(tuple(ours["input_shape"]), rows)
    board, compiled = load_board(BOARD), load_compiled(folder / "ours" / "compile")
    for index, tflm in enumerate(tflm_sides(board)):
        side = count_tflm(tflm, compiled, board, x, folder / f"tflm{index}")
        if not np.array_equal(side.pop("outputs"), oracle.invoke(path, x)):
            raise TinyflowError(
                f"{name_of(tflm)} on {name} differs from {oracle.version()}",
                "is TFLM_ROOT of about the same date as the wheel?",
            )
        sides.append(side)
    if len(sides) == 2 and recorded:
        for key, kernels in (("tflm_reference", "TFLM reference"), ("tflm_cmsis_nn", "TFLM + CMSIS-NN")):
            sides.append({"kernels": kernels, "label": "recorded", "instructions_per_inference": recorded[key]})
        sides[-1] |= {key: recorded[key] for key in ("arena_bytes", "flash_without_model_bytes")}
        sides[-1]["per_mac_by_sort"] = recorded.get("cmsis_nn_per_mac", {})
    for side in sides:
        side["ratio"] = ours["instructions_per_inference"] / side["instructions_per_inference"]
        if "flash_bytes" in side:
            side["flash_without_model_bytes"] = side["flash_bytes"] - side["model_bytes"]
        if "layers" in side:
            side["by_sort"] = by_sort(side["layers"])
            side["per_mac_by_sort"] = {
                key: entry["per_mac"] for key, entry in side["by_sort"].items() if entry["per_mac"]
            }
    return {"model": name, "weights": weights, "macs": ours["macs"], "sides": sides}


def show(model: dict[str, Any], brief: bool) -> str:
    ours, *others = model["sides"]
    lines = [f"== {model['model']}: {model['macs']:,} MACs; weights: {model['weights']}"]
    if not brief:
        lines += ["", *_layers(ours, [side for side in others if "layers" in side])]
    lines += ["", *_sorts(ours, others), "", *_totals(model)]
    return "\n".join(lines)


def _layers(ours: dict[str, Any], others: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"{'layer':20} {'shape':28} {'kernel':28} {'MACs':>10} {'ours':>11} {'per MAC':>8}"
        + "".join(f" {side['kernels']:>16}" for side in others)
    ]
    known = [{layer["tensor"]: layer["instructions"] for layer in side["layers"]} for side in others]
    for layer in ours["layers"]:
        shape = f"{_shape(layer['input_shape'])} > {_shape(layer['output_shape'])}"
        counts = [f"{there[layer['tensor']]:16,}" if layer["tensor"] in there else f"{'-':>16}" for there in known]
        kernel = layer["kernel"][:28]
        lines.append(
            f"{layer['sort'][:20]:20} {shape:28} {kernel:28} {layer['macs']:10,} {layer['instructions']:11,}"
            f" {_per(layer['per_mac']):>8}" + "".join(f" {text}" for text in counts)
        )
    there = {layer["tensor"] for layer in ours["layers"]}
    for _number, side in enumerate(others):
        gone = [layer for layer in side["layers"] if layer["tensor"] not in there]
        if gone:
            lines.append(
                f"{side['kernels']}: besides, {sum(layer['instructions'] for layer in gone):,} in {len(gone)} operators"
                " that ours has no code for"
            )
    return lines


def _sorts(ours: dict[str, Any], others: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"{'sort of layer':28} {'layers':>6} {'MACs':>11} {'ours':>12} {'per MAC':>8}"
        + "".join(f" {side['kernels']:>16}" for side in others)
    ]
    for name, entry in ours["by_sort"].items():
        theirs = "".join(f" {_sort_of(side, name):>16}" for side in others)
        lines.append(
            f"{name:28} {entry['layers']:6} {entry['macs']:11,} {entry['instructions']:12,}"
            f" {_per(entry['per_mac']):>8}{theirs}"
        )
    return lines


def _sort_of(side: dict[str, Any], name: str) -> str:
    """Per MAC where there are MACs, else instructions."""
    per_mac = side.get("per_mac_by_sort", {}).get(name)
    if per_mac:
        return f"{per_mac:.2f} per MAC"
    entry = side.get("by_sort", {}).get(name)
    return f"{entry['instructions']:,}" if entry else "-"


def _totals(model: dict[str, Any]) -> list[str]:
    lines = [
        f"{'':18} {'':9} {'instructions':>13} {'per MAC':>8} {'ours/it':>8} {'arena':>8} {'flash w/o model':>16}"
        f" {'model':>8} {'flash':>8}"
    ]
    for side in model["sides"]:
        count = side["instructions_per_inference"]
        sizes = [side.get(key) for key in ("arena_bytes", "flash_without_model_bytes", "model_bytes", "flash_bytes")]
        text = [f"{value:,}" if value is not None else "-" for value in sizes]
        lines.append(
            f"{side['kernels']:18} {side['label']:9} {count:13,} {_per(model['macs'] and count / model['macs']):>8} "
            f"{side['ratio']:8.3f} {text[0]:>8} {text[1]:>16} {text[2]:>8} {text[3]:>8}"
        )
    return lines


def _shape(shape: list[int]) -> str:
    return "x".join(map(str, shape[1:] if len(shape) > 1 and shape[0] == 1 else shape))


def _per(value: float | None) -> str:
    return f"{value:.3f}" if value else "-"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "models", nargs="*", metavar="model", help=f"of {', '.join(MODELS)}, or an int8 .tflite; default: all four"
    )
    parser.add_argument("--rows", type=int, default=2, help="random rows to count and compare (default 2)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--brief", action="store_true", help="without the tables per layer")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.models if name not in MODELS and not Path(name).is_file()]
    if unknown or options.rows < 1:
        parser.error(
            f"no model or file {unknown[0]!r}; there are {', '.join(MODELS)}"
            if unknown
            else "--rows must be at least 1"
        )
    recorded = json.loads(RECORDED.read_text())
    figures = recorded.pop("models")
    models = []
    for name in options.models or MODELS:
        print(f"counting {name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="tinyflow-benchmark-") as folder:
            models.append(measure(name, Path(folder), options.rows, figures.get(name)))
    result = {
        "board": BOARD,
        "unit": UNIT,
        "qemu": ".".join(map(str, qemu_version())),
        "recorded": recorded,
        "models": models,
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return 0
    ours = models[0]["sides"][0]
    print(f"Instructions of one inference on {BOARD}: {UNIT}.")
    print(f"counted: {ours['compiler']}, {ours['flags']}, QEMU {result['qemu']}")
    if any(side["label"] == "recorded" for model in models for side in model["sides"]):
        keys = ("compiler", "optimisation", "board", "tflm", "cmsis_nn")
        print(f"recorded: {', '.join(recorded[key] for key in keys)}; TFLM_ROOT is not set")
    for model in models:
        print("\n" + show(model, options.brief))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TinyflowError as error:
        sys.exit(f"error: {error.message}\n hint: {error.hint}")
