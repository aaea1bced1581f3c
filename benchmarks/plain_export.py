"""A two-cell DARTS network, exported by us and plainly by onnx2tf: instructions per multiply-accumulate on the emulated
Cortex-M4F.

    python benchmarks/plain_export.py [--channels 16,32] [--python PATH] [--brief] [--json]

The network has random weights and every operation of DARTS but a strided skip connection, whose slices onnx2tf takes
along the wrong axes. What onnx2tf leaves in it (TRANSPOSE, PAD, STRIDED_SLICE, MUL, grouped convolutions) is for the
passes. Both files go through the same compiler and kernels, and must answer as tflite_micro does. MACs are the nominal
ones of our own export, for both sides.

onnx2tf is a tool of this benchmark alone: pip install onnx2tf==1.29.24 into the Python that --python names. TFLM's
sides are counted in the same run where TFLM_ROOT is set (tflm_runtime.py); else a similar network's figures stand
recorded (recorded.json).

These are executed instructions under QEMU, not cycles.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from coefficients import convert
from kernels import RECORDED, measure, show
from network_counts import BOARD, UNIT

from tinyflow.compile.passes import run_passes
from tinyflow.compile.tflite import read_tflite
from tinyflow.deploy.places.qemu import qemu_version
from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import MfccConfig
from tinyflow.network.genotype import Cell, Edge, Genotype

FRONTEND = MfccConfig(window=640, hop=480, n_mels=40)  # 33 x 40 features: about 4 M multiply-accumulates at 16 channels


def cell(*edges: tuple[str, int]) -> Cell:
    pairs = [Edge(*edge) for edge in edges]
    return tuple(zip(pairs[::2], pairs[1::2]))


NORMAL = cell(
    ("sep_conv_3x3", 0), ("dil_conv_5x5", 1), ("skip_connect", 0), ("dil_conv_3x3", 2),
    ("avg_pool_3x3", 1), ("sep_conv_5x5", 3), ("max_pool_3x3", 2), ("skip_connect", 4),
)  # fmt: skip
REDUCTION = cell(
    ("max_pool_3x3", 0), ("sep_conv_5x5", 1), ("dil_conv_3x3", 0), ("dil_conv_5x5", 2),
    ("avg_pool_3x3", 1), ("dil_conv_3x3", 2), ("sep_conv_3x3", 3), ("dil_conv_3x3", 1),
)  # fmt: skip


def network(channels: int) -> Genotype:
    return Genotype(
        "keywords",
        tuple(f"word{index}" for index in range(12)),
        FRONTEND,
        NORMAL,
        REDUCTION,
        channels,
        cells=2,
        stem_stride=2,
    )


def plain(python: str, onnx: Path, folder: Path) -> Path:
    """The int8 TFLite that onnx2tf makes of ``onnx`` with nothing but calibration data. TinyflowError with its last
    words.
    """
    folder.mkdir()
    shape = read_tflite(onnx.parent / "model_int8.tflite").tensor(0).shape
    np.save(folder / "calibration.npy", np.random.default_rng(0).standard_normal((8, *shape[1:])).astype(np.float32))
    command = [
        python,
        "-m",
        "onnx2tf",
        "-i",
        str(onnx),
        "-o",
        str(folder / "out"),
        "-oiqt",
        "-cind",
        "features",
        "calibration.npy",
        "0.0",
        "1.0",
        "-n",
    ]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment
    )
    files = sorted(folder.glob("out/*_full_integer_quant.tflite"))
    if done.returncode or not files:
        raise TinyflowError(
            f"onnx2tf failed: {(done.stderr or done.stdout).strip()[-300:]}",
            "pip install onnx2tf==1.29.24, and --python PATH",
        )
    return files[0]


def kinds(tflite: Path) -> dict[str, dict[str, int]]:
    """Operators by kind, in the file and behind the passes."""
    graph = read_tflite(tflite)
    count = {
        "file": Counter(op.kind for op in graph.ops),
        "passes": Counter(op.kind for op in run_passes(graph).ops if not op.placed),
    }
    return {side: dict(kinds.most_common()) for side, kinds in count.items()}


def compare(channels: int, python: str, folder: Path, rows: int) -> dict[str, Any]:
    """Both exports of the network with so many channels, counted."""
    own = convert(network(channels), folder / "own")
    files = {"our export": own, "onnx2tf, plain": plain(python, folder / "own" / "model.onnx", folder / "onnx2tf")}
    exports = {}
    for name, path in files.items():
        (folder / f"counts{len(exports)}").mkdir()
        exports[name] = {
            **measure(str(path), folder / f"counts{len(exports)}", rows, None),
            "kinds": kinds(path),
            "model": name,
            "weights": "random",
        }
    macs = exports["our export"]["macs"]
    for export in exports.values():
        for side in export["sides"]:
            side["per_nominal_mac"] = side["instructions_per_inference"] / macs
    return {"channels": channels, "macs": macs, "exports": exports}


def table(result: dict[str, Any], recorded: dict[str, Any]) -> str:
    lines = [f"{'':9} {'':16} {'':24} {'MACs':>10} {'instructions':>13} {'per MAC':>8} {'ours/it':>8} {'arena':>8}"]
    for model in result["models"]:
        ours = None
        for name, export in model["exports"].items():
            for side in export["sides"]:
                ours = ours or side["instructions_per_inference"]
                lines.append(
                    f"{model['channels']:>3} chan. {name:16} {side['kernels']:24} {model['macs']:10,}"
                    f" {side['instructions_per_inference']:13,} {side['per_nominal_mac']:8.2f}"
                    f" {ours / side['instructions_per_inference']:8.3f} {side.get('arena_bytes', 0):8,}"
                )
    for key, kernels in (("tflm_reference", "TFLM reference"), ("tflm_cmsis_nn", "TFLM + CMSIS-NN")):
        lines.append(
            f" 16 chan. {'onnx2tf, plain':16} {kernels:24} {recorded['macs']:10,} {recorded[key]:13,}"
            f" {recorded[key] / recorded['macs']:8.2f}  (recorded: {recorded['title']})"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", default="16,32", help="of the network, comma separated (default 16,32)")
    parser.add_argument("--python", default=sys.executable, help="a Python that has onnx2tf (default: this one)")
    parser.add_argument("--rows", type=int, default=2, help="random rows to count and compare (default 2)")
    parser.add_argument("--brief", action="store_true", help="without the tables per layer")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args(arguments)
    models = []
    for channels in map(int, options.channels.split(",")):
        print(f"converting and counting {channels} channels ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="tinyflow-benchmark-") as folder:
            models.append(compare(channels, options.python, Path(folder), options.rows))
    result = {"board": BOARD, "unit": UNIT, "qemu": ".".join(map(str, qemu_version())), "models": models}
    if options.json:
        print(json.dumps(result, indent=2))
        return 0
    print(
        f"Instructions of one inference on {BOARD}: {UNIT}. QEMU {result['qemu']}; per MAC: of our own export's nominal"
        " MACs.\n"
    )
    for model in models:
        for name, export in model["exports"].items():
            print(
                f"-- {model['channels']} channels, {name}\n   in the file: {export['kinds']['file']}\n   after passes:"
                f" {export['kinds']['passes']}"
            )
            print(show(export, options.brief) + "\n")
    print(table(result, json.loads(RECORDED.read_text())["darts"]))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TinyflowError as error:
        sys.exit(f"error: {error.message}\n hint: {error.hint}")
