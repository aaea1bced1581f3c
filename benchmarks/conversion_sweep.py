"""Random genotypes x the eight front ends of Table 1: how many convert to int8 TFLite, and why the others do not.

    python benchmarks/conversion_sweep.py [--genotypes 20] [--operations mcu] [--out sweep.json]

Each case is a random genotype of C=4, L=3, of either set of operations, with the batch norms of a trained network:
exported, converted, its float TFLite compared with torch on 8 inputs (1e-4), its int8 TFLite lowered to C and compared
with tflite_micro on 4 inputs. TensorFlow stays loaded between the cases: to_tflite, which starts it anew in a process
of its own, takes 4 s more. Goes on where an interrupted run stopped.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tinyflow.artefacts import write_json
from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import TABLE_1, MfccConfig
from tinyflow.network.operations import OPERATION_SETS
from tinyflow.search.random_genotype import random_genotype

LABELS = tuple(f"word{index}" for index in range(12))
STEM_STRIDES = (1, 2)  # by turns


def convert(seed: int, mfcc: MfccConfig, operations: str, folder: Path) -> dict[str, Any]:
    """One case: what came of it. TinyflowError when it is refused."""
    import torch

    from tinyflow.compile.lower import lower
    from tinyflow.convert.onnx import export_onnx, torch_answers
    from tinyflow.convert.quantize import FLOAT, INT8, check_operators
    from tinyflow.convert.quantize import convert as to_tflite
    from tinyflow.convert.trained import float_check
    from tinyflow.network.module import DerivedNetwork
    from tinyflow.reference import oracle
    from tinyflow.reference.hostmodel import HostModel
    from tinyflow.reference.interpreter import Interpreter

    start = time.monotonic()
    genotype = random_genotype(
        random.Random(seed), mfcc, LABELS, stem_stride=STEM_STRIDES[seed % 2], operations=operations
    )
    torch.manual_seed(seed)
    network = as_trained(DerivedNetwork(genotype))
    features = np.random.default_rng(seed).standard_normal((8, *mfcc.shape)).astype(np.float32)
    onnx = export_onnx(network, (1, *mfcc.shape), folder / "model.onnx", features[:, None])
    np.save(folder / "features.npy", features)
    to_tflite(str(folder / "model.onnx"), str(folder / "features.npy"), str(folder))
    float_model, int8_model = folder / FLOAT, folder / INT8
    float_difference = float_check(network, float_model, features, 1e-4)
    converted = time.monotonic() - start

    compiled = lower(int8_model, folder, "sweep")
    scale, zero_point = Interpreter(int8_model).input_quantization
    rows = (
        np.clip(np.rint(features[:4] / scale) + zero_point, -128, 127)
        .astype(np.int8)
        .reshape(4, *compiled.input.shape[1:])
    )
    answers, expected = HostModel(compiled, flags=("-O1",)).invoke(rows), oracle.invoke(int8_model, rows)
    if not np.array_equal(answers, expected):
        raise TinyflowError("the C is not bit-exact with tflite_micro", f"seed {seed}, {mfcc.name}")
    logits = torch_answers(network, features[:4, None])
    real = compiled.output.scale * (expected.astype(np.float64) - compiled.output.zero_point)
    return {
        "onnx": onnx,
        "float": float_difference,
        "int8": float(np.abs(real - logits).max() / np.ptp(logits)),
        "seconds": round(converted, 2),
        "operators": check_operators(int8_model),
    }


def as_trained(network):
    """Statistics of the batch norms away from 0 and 1, so that folding is put to work."""
    import torch

    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0.0, 0.2)
            module.running_var.uniform_(0.3, 2.0)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0.0, 0.2)
    return network.eval()


def main() -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"  # before TensorFlow is loaded
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genotypes", type=int, default=20)
    parser.add_argument("--operations", choices=OPERATION_SETS, default="darts")
    parser.add_argument("--out", type=Path, default=Path("runs/conversion_sweep.json"))
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
    cases = [(seed, mfcc) for seed in range(arguments.genotypes) for mfcc in TABLE_1]
    for number, (seed, mfcc) in enumerate(cases, 1):
        key = f"{seed} {mfcc.name}" + (f" {arguments.operations}" if arguments.operations != "darts" else "")
        if key in results:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                results[key] = convert(seed, mfcc, arguments.operations, Path(folder))
            except TinyflowError as error:
                results[key] = {"refused": error.message, "hint": error.hint}
        write_json(arguments.out, results)
        print(f"{number} of {len(cases)}: {key}: {results[key].get('refused', 'converted')}", file=sys.stderr)
    print(table(results))


def table(results: dict[str, Any]) -> str:
    """By front end: converted, refused, largest differences, seconds."""
    lines = [
        (
            "| front end | converted | refused | float against torch | int8 against torch, of the logits' range |"
            " seconds each |"
        ),
        "|---|---|---|---|---|---|",
    ]
    for mfcc in TABLE_1:
        mine = [value for key, value in results.items() if key.split()[1] == mfcc.name]
        good = [value for value in mine if "refused" not in value]
        if good:
            worst = [max(value[key] for value in good) for key in ("float", "int8")]
            seconds = float(np.mean([value["seconds"] for value in good]))
            lines.append(
                f"| {mfcc.name} | {len(good)} | {len(mine) - len(good)} | {worst[0]:.1e} | {worst[1]:.1%} |"
                f" {seconds:.1f} |"
            )
    refused = [f"{key}: {value['refused']}" for key, value in results.items() if "refused" in value]
    return "\n".join(lines + refused)


if __name__ == "__main__":
    main()
