"""Measures the table of coefficients that the search's costs are made of: tinyflow/search/coefficients.json.

    python benchmarks/coefficients.py [--frontend | --networks] [--counts FILE] [--write]

Random genotypes of both operation sets, and the DS-CNN baseline, are converted with random weights and run on
mps2-an386 under QEMU, which counts the instructions of every layer. Per kind of operator, non-negative coefficients are
fitted to them (relative least squares). Front ends are counted step by step. The networks and front ends kept out of
the fit are then predicted and counted: the relative error is what the estimate is worth. --frontend measures the front
end's rows alone and leaves the others as they are, --networks the others.
"""

import argparse
import json
import os
import random
import sys
import tempfile
from collections import defaultdict
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).resolve().parent))

from tflite_builder import Builder

from tinyflow.artefacts import fingerprint, write_json
from tinyflow.board import load_board
from tinyflow.compile.foreign import compile_tflite
from tinyflow.compile.lower import lower
from tinyflow.compile.operators import facts
from tinyflow.compile.passes import run_passes
from tinyflow.compile.tflite import read_tflite
from tinyflow.cost import footprint as image
from tinyflow.cost import instructions
from tinyflow.cost.work import COUNTS, kind, work
from tinyflow.deploy.artefact import Firmware
from tinyflow.deploy.build import build
from tinyflow.deploy.places.place import choose_place
from tinyflow.deploy.places.qemu import qemu_version
from tinyflow.deploy.profile import profile
from tinyflow.deploy.target import Target
from tinyflow.frontend.mfcc.config import TABLE_1, MfccConfig
from tinyflow.frontend.registry import front_end_named
from tinyflow.network.alignment import alignments
from tinyflow.network.genotype import Genotype
from tinyflow.network.shape_graph import count_parameters
from tinyflow.search.random_genotype import random_genotype

BOARD, IMAGE_BOARD = "mps2-an386", "nucleo-l4r5zi"  # who counts instructions; whose image is measured


def networks() -> tuple[list[Genotype], list[Genotype]]:
    """(for the fit, held out)."""
    rng = random.Random(0)
    fitted, held = [], []
    for number in range(14):
        operations = ("darts", "mcu")[number % 2]
        mfcc = TABLE_1[number % 8]
        small = number % 3 == 0
        genotype = random_genotype(
            rng,
            mfcc,
            channels=rng.choice((4, 8, 10) if small else (8, 12, 16)),
            cells=2 + number % 4,
            stem_stride=2,
            operations=operations,
        )
        if number % 4 == 2:
            genotype = replace(
                genotype,
                alignment="preprocess",
                alignment_layer=alignments(TABLE_1, 1 + number % 3)[number % 8].to_dict(),
            )
        (held if number >= 10 else fitted).append(genotype)
    fitted.append(replace(fitted[0], architecture="ds_cnn"))
    held.append(replace(held[0], architecture="ds_cnn", frontend=TABLE_1[7]))
    for front_end, channels in ((0, 1), (3, 2), (4, 3)):  # alignments that resample
        layer = alignments(TABLE_1, channels)[front_end].to_dict()
        fitted.append(
            replace(
                random_genotype(rng, TABLE_1[front_end], channels=8, cells=1),
                alignment="preprocess",
                alignment_layer=layer,
            )
        )
    return fitted, held


FRONTENDS = (
    *TABLE_1[::2],
    TABLE_1[1],
    *(
        front_end_named(name)
        for name in (
            "640/320/40/mfcc10/fft1024",
            "400/200/40/fft512",
            "480/160/40",
            "512/160/40",
            "600/300/64",
            "360/180/32",
            "800/400/40/mfcc20",
            "200/100/40/fft512",
        )
    ),
)
COPIES = (1, 3, 8, 16)  # channels
HELD_FRONTENDS = (
    *TABLE_1[3::2],
    *(front_end_named(name) for name in ("320/160/40", "512/256/64", "640/213/48/mfcc32", "450/225/40/fft600")),
)


def convert(genotype: Genotype, folder: Path) -> Path:
    """The int8 TFLite of ``genotype`` with random weights."""
    import torch

    from tinyflow.convert.onnx import export_onnx
    from tinyflow.convert.quantize import to_tflite
    from tinyflow.network.build import build_network

    torch.manual_seed(0)
    network = build_network(genotype).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0.0, 0.2)
            module.running_var.uniform_(0.3, 2.0)
    features = np.random.default_rng(0).standard_normal((8, *genotype.frontend.shape)).astype(np.float32)
    folder.mkdir(parents=True)
    export_onnx(network, (1, *genotype.frontend.shape), folder / "model.onnx", features[:, None])
    return to_tflite(folder / "model.onnx", features, folder)[1]


def count_network(tflite: Path, folder: Path) -> dict[str, Any]:
    """Counted instructions per layer beside what their kernels do, and the sizes of the image."""
    graph = run_passes(read_tflite(tflite))
    compiled = compile_tflite(tflite, folder / "compile")
    np.savez(
        compiled.selftest,
        features=np.random.default_rng(0).integers(-128, 128, (1, compiled.input.elements)).astype(np.int8),
    )
    board = load_board(BOARD)
    result = profile(Target(build(compiled, board, folder / "build"), compiled, choose_place(board)))
    built = build(compiled, load_board(IMAGE_BOARD), folder / "image")
    ops = [op for op in graph.ops if not facts(op).view and not op.placed]
    rows = [
        [kind(graph, op), work(graph, op).tolist(), layer.units] for op, layer in zip(ops, result.layers, strict=True)
    ]
    return {
        "rows": rows,
        "invoke": result.invoke_units,
        "macs": compiled.macs,
        "compiler": result.compiler,
        "flags": result.flags,
        "image": image.layers_and_kernels(graph),
        "model_bytes": compiled.model_bytes,
        "estimated_bytes": image.model_bytes(graph),
        **_image(built),
    }


def copies(channels: int) -> bytes:
    """A model of the copies that passes take into their neighbours in almost all networks: PAD, STRIDED_SLICE,
    RESIZE_NEAREST_NEIGHBOR.
    """
    b = Builder()
    narrow, wide = (np.float32(0.1), 0), (np.float32(0.2), 0)

    def numbers(*values):
        return b.const(np.array(values), "int32")

    def emit(operator, inputs, rows, columns, quantization, options=None):
        return b.op(operator, inputs, [b.tensor((1, rows, columns, channels), *quantization)], options)

    x = b.tensor((1, 24, 20, channels), *narrow)
    y = emit("PAD", [x, b.const(np.array([[0, 0], [1, 1], [1, 1], [0, 0]]), "int32")], 26, 22, narrow, "PadOptions")
    y = emit("RELU", [y], 26, 22, wide)
    y = emit(
        "STRIDED_SLICE",
        [y, numbers(0, 1, 1, 0), numbers(1, 26, 22, channels), numbers(1, 1, 1, 1)],
        25,
        21,
        wide,
        "StridedSliceOptions",
    )
    y = emit("RELU", [y], 25, 21, narrow)
    y = emit("RESIZE_NEAREST_NEIGHBOR", [y, numbers(20, 16)], 20, 16, narrow, "ResizeNearestNeighborOptions")
    return b.finish([x], [emit("RELU", [y], 20, 16, wide)])


def count_frontend(config: MfccConfig, tflite: Path, folder: Path) -> dict[str, Any]:
    """Counted instructions of each step of a frame, and of a second of noise; sizes of the image."""
    compiled = lower(
        tflite,
        folder,
        "frontend",
        frontend=config.part(),
        multiplier=(1.0,) * config.n_mfcc,
        offset=(0.0,) * config.n_mfcc,
    )
    config.generate(compiled.multiplier, compiled.offset, compiled.c)
    np.savez(
        compiled.selftest,
        clips=np.random.default_rng(0).integers(-8000, 8000, (1, config.sample_rate)).astype(np.int16),
    )
    board = load_board(BOARD)
    result = profile(Target(build(compiled, board, folder / "build", clips=0), compiled, choose_place(board)))
    image = build(compiled, load_board(IMAGE_BOARD), folder / "image", clips=0)
    return {
        "steps": {step.name: step.units for step in result.frontend.steps},
        "second": result.frontend.units_per_second,
        "tables": config.table_bytes(),
        **_image(image),
    }


def plain_code(tflite: Path, folder: Path) -> int:
    """Code of an image of the same small network without a front end."""
    return _image(build(compile_tflite(tflite, folder), load_board(IMAGE_BOARD), folder / "image", clips=0))[
        "code_bytes"
    ]


def _image(image: Firmware) -> dict[str, int]:
    return {
        "code_bytes": image.flash_bytes - image.model_bytes,
        "static_bytes": image.ram_bytes - image.arena_bytes - image.stack_reserved_bytes,
    }


def small_model(config: MfccConfig) -> bytes:
    """A network that reads the features of ``config``: a mean and a linear layer."""
    b = Builder()
    quant = (np.float32(0.1), 0)
    x, pooled, logits = b.tensor((1, *config.shape, 1), *quant), b.tensor((1, 1), *quant), b.tensor((1, 2), *quant)
    b.op("MEAN", [x, b.const(np.array([1, 2]), "int32")], [pooled], "ReducerOptions", keepDims=False)
    weights = b.const(np.ones((2, 1)), "int8", np.full(1, 0.1, np.float32))
    b.op(
        "FULLY_CONNECTED",
        [pooled, weights, b.const(np.zeros(2), "int32", np.full(1, 0.01, np.float32))],
        [logits],
        "FullyConnectedOptions",
    )
    return b.finish([x], [logits])


def fit(features: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Non-negative coefficients of least relative squared error; columns whose coefficient would be negative get 0."""
    rows = features / counted[:, None]
    kept = [column for column in range(rows.shape[1]) if rows[:, column].any()]
    result = np.zeros(rows.shape[1])
    while kept:
        scale = rows[:, kept].max(0)
        found = np.linalg.lstsq(rows[:, kept] / scale, np.ones(len(rows)), rcond=None)[0] / scale
        if (found >= 0).all():
            result[kept] = found
            break
        kept.pop(int(np.argmin(found * scale)))
    return result


def fit_operators(counts: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """A row of the table for every kind of operator met, with how far its layers are from it."""
    layers: dict[str, list[tuple[list[float], int]]] = defaultdict(list)
    for count in counts:
        for name, features, units in count["rows"]:
            layers[name].append((features, units))
    rows = {}
    for name, found in sorted(layers.items()):
        features, counted = (
            np.array([features for features, _ in found]),
            np.array([units for _, units in found], float),
        )
        values = fit(features, counted)
        errors = features @ values / counted - 1
        rows[name] = {
            **{f"per_{count}": round(float(value), 3) for count, value in zip(COUNTS, values) if value},
            "layers": len(found),
            "median_error": round(float(np.median(np.abs(errors))), 4),
            "largest_error": round(float(np.abs(errors).max()), 4),
        }
    return rows


def fit_frontend(counts: dict[MfccConfig, dict[str, int]]) -> dict[str, float]:
    """Coefficients of frontend_work, step by step."""
    result, works = {}, [instructions.frontend_work(config) for config in counts]
    for step in next(iter(counts.values())):
        names = [name for name in works[0] if name.startswith(f"{step}.")]
        values = fit(
            np.array([[work[name] for name in names] for work in works], float),
            np.array([steps[step] for steps in counts.values()], float),
        )
        result |= {name: round(float(value), 3) for name, value in zip(names, values)}
    return result


def fit_image(networks: list[dict[str, Any]]) -> dict[str, Any]:
    """What an image holds besides the model's constants, the plan, the stack, and the front end."""
    parts = np.array([[1, *count["image"]] for count in networks], float)
    code = np.array([count["code_bytes"] for count in networks], float)
    fixed, per_layer, per_kernel = np.linalg.lstsq(parts, code, rcond=None)[0]
    sizes = code - fixed + [count["model_bytes"] for count in networks]
    return {
        "board": IMAGE_BOARD, "flash_fixed": round(float(fixed)),
        "flash_per_layer": round(float(per_layer), 1), "flash_per_kernel": round(float(per_kernel), 1),
        "flash_per_parameter": round(float(sizes.sum() / sum(count["parameters"] for count in networks)), 3),
    }  # fmt: skip


def fit_frontend_image(frontends: dict[MfccConfig, dict[str, Any]], plain: int) -> dict[str, int]:
    """What a front end adds besides its tables and buffers, and the RAM of an image besides
    buffers, arena and stack.
    """
    code = np.mean([count["code_bytes"] - count["tables"] - plain for count in frontends.values()])
    static = np.mean([count["static_bytes"] - image.frontend_buffers(config) for config, count in frontends.items()])
    return {"flash_frontend": round(float(code)), "ram_fixed": round(float(static))}


def report(table: dict[str, Any], counts: list[dict[str, Any]], fitted: int) -> None:
    """Prediction beside count, of what was kept out of the fit."""
    print(f"{table['unit']}; {table['board']}, {table['compiler']}, {table['flags']}, {table['emulator']}")
    print(
        f"\n| operator | {' | '.join(COUNTS)} | layers | median error | largest"
        f" |\n|---|{'---|' * len(COUNTS)}---|---|---|"
    )
    for name, row in table["operators"].items():
        values = (f"{row[f'per_{count}']:.2f}" if f"per_{count}" in row else "" for count in COUNTS)
        print(
            f"| {name} | {' | '.join(values)} | {row['layers']} | {row['median_error']:.2%} |"
            f" {row['largest_error']:.2%} |"
        )
    print(
        "\n| held-out network | MACs | counted | predicted | error | flash without front end | predicted | error"
        " |\n|---|---|---|---|---|---|---|---|"
    )
    errors, code = [], table["image"]
    for number, count in enumerate(counts[fitted:]):
        predicted = sum(
            np.dot(features, [table["operators"][name].get(f"per_{count}", 0) for count in COUNTS])
            for name, features, _ in count["rows"]
        )
        errors.append(predicted / count["invoke"] - 1)
        layers, kernels = count["image"]
        flash = count["model_bytes"] + count["code_bytes"]
        estimated = (
            count["estimated_bytes"]
            + code["flash_fixed"]
            + code["flash_per_layer"] * layers
            + code["flash_per_kernel"] * kernels
        )
        print(
            f"| {number + 1} | {count['macs']:,} | {count['invoke']:,} | {predicted:,.0f} | {errors[-1]:+.2%} "
            f"| {flash:,} | {estimated:,.0f} | {estimated / flash - 1:+.2%} |"
        )
    print(f"largest error {max(map(abs, errors)):.2%}")


def report_frontends(table: dict[str, Any], frontends: dict[MfccConfig, dict[str, Any]]) -> None:
    print("\n| front end | counted, per second of audio | predicted | error | in the fit |\n|---|---|---|---|---|")
    for config, count in frontends.items():
        predicted = config.frames() * sum(
            table["frontend"]["coefficients"][name] * units
            for name, units in instructions.frontend_work(config).items()
        )
        print(
            f"| {config.name} | {count['second']:,.0f} | {predicted:,.0f} | {predicted / count['second'] - 1:+.2%} |"
            f" {config in FRONTENDS} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="replace the table of the repository")
    parser.add_argument("--frontend", action="store_true", help="measure the front end's part alone")
    parser.add_argument("--networks", action="store_true", help="measure the networks' part alone")
    parser.add_argument(
        "--counts", type=Path, help="file that keeps the raw counts; what it holds already is not counted again"
    )
    arguments = parser.parse_args()
    kept: dict[str, Any] = (
        json.loads(arguments.counts.read_text()) if arguments.counts and arguments.counts.is_file() else {}
    )

    def once(key: str, count) -> Any:
        if key not in kept:
            print(f"counting {key} ...", file=sys.stderr, flush=True)
            kept[key] = count()
            if arguments.counts:
                write_json(arguments.counts, kept)
        return kept[key]

    result: dict[str, Any] = dict(instructions.table())
    with tempfile.TemporaryDirectory(prefix="tinyflow-coefficients-") as name:
        folder = Path(name)
        if not arguments.networks:
            for number, config in enumerate((*FRONTENDS, *HELD_FRONTENDS)):
                path = folder / f"f{number}.tflite"
                path.write_bytes(small_model(config))
                once(f"front end {config.name}", lambda: count_frontend(config, path, folder / f"f{number}"))
            plain = once("no front end", lambda: plain_code(folder / "f0.tflite", folder / "plain"))
        if not arguments.frontend:
            fitted, held = networks()
            counts = []
            for number, genotype in enumerate(fitted + held):
                place = folder / f"n{number}"
                counted = once(
                    f"network {fingerprint(genotype.to_dict())[:12]}",
                    lambda: count_network(convert(genotype, place), place),
                )
                counts.append({**counted, "parameters": count_parameters(genotype)})
            more = []
            for channels in COPIES:
                path = folder / f"copies{channels}.tflite"
                path.write_bytes(copies(channels))
                more.append(once(f"copies {channels}", lambda: count_network(path, folder / f"c{channels}")))
    if not arguments.frontend:
        result |= {
            "how": "fitted to counted instructions by benchmarks/coefficients.py",
            "unit": "executed instructions, not cycles",
            "board": BOARD,
            "compiler": counts[0]["compiler"],
            "flags": counts[0]["flags"],
            "emulator": f"QEMU {'.'.join(map(str, qemu_version()))}",
            "date": str(date.today()),
            "networks": {"fitted": len(fitted), "held_out": len(held)},
            "operators": fit_operators(counts[: len(fitted)] + more),
            "image": {**result["image"], **fit_image(counts[: len(fitted)])},
        }
        report(result, counts, len(fitted))
    if not arguments.networks:
        frontends = {config: kept[f"front end {config.name}"] for config in (*FRONTENDS, *HELD_FRONTENDS)}
        result["frontend"] = {
            "fitted": [config.name for config in FRONTENDS], "date": str(date.today()),
            "coefficients": fit_frontend({config: frontends[config]["steps"] for config in FRONTENDS}),
        }  # fmt: skip
        result["image"] = {**result["image"], **fit_frontend_image(frontends, plain)}
        report_frontends(result, frontends)
    if arguments.write:
        write_json(instructions.TABLE, result)


if __name__ == "__main__":
    main()
