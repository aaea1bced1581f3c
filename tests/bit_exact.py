"""Ours against TFLM, to the last bit: a .tflite through our C on the host and through tflite_micro."""

import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from targets import met

from tinyflow.board import load_board
from tinyflow.compile.artefact import CompiledModel
from tinyflow.compile.lower import translate
from tinyflow.deploy.build import build
from tinyflow.deploy.device import connect
from tinyflow.reference import oracle
from tinyflow.reference.hostlib import host_compiler
from tinyflow.reference.hostmodel import KERNELS, HostModel
from tinyflow.reference.oracles import first_difference


@cache
def kernel_archive() -> Path:
    """The kernels, compiled once: a case then compiles its model.c alone."""
    folder = Path(tempfile.mkdtemp(prefix="tinyflow-kernels-"))
    sources = sorted(KERNELS.glob("*.c"))
    flags = ["-std=c99", "-O2", "-ffp-contract=off", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*host_compiler(), *flags, "-c", *map(str, sources)], cwd=folder, check=True)
    subprocess.run(["ar", "rcs", "kernels.a", *(f"{source.stem}.o" for source in sources)], cwd=folder, check=True)
    return folder / "kernels.a"


def compile_bytes(data: bytes, folder: Path) -> CompiledModel:
    path = folder / "model_int8.tflite"
    path.write_bytes(data)
    return translate(path, folder, "model")[0]


def random_rows(model: CompiledModel, rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (rows, *model.input.shape[1:])).astype(np.int8)
    x[: rows // 4] = np.clip(x[: rows // 4], -8, 8)  # small values too: ties and zero points
    return x


def assert_bit_exact_on(name: str, data: bytes, folder: Path, rows: int = 1, seed: int = 0) -> None:
    """Every layer of the firmware for the board ``name``, emulated, equals TFLM's; of the board host, under its
    sanitizers.
    """
    board, model = load_board(name), compile_bytes(data, folder)
    with connect(build(model, board, folder / "firmware"), met(board)) as device:
        for row in random_rows(model, rows, seed):
            ours = [layer.value(device.layer(layer.index, row, layer.offset, layer.bytes)) for layer in model.layers]
            difference = first_difference(model, 0, row, ours, oracle)
            assert difference is None, str(difference)


def assert_bit_exact(data: bytes, rows: int = 4, seed: int = 0, x: np.ndarray | None = None) -> CompiledModel:
    """Every layer of the first row and the outputs of all rows equal TFLM's; else the first difference is reported."""
    with tempfile.TemporaryDirectory(prefix="tinyflow-case-") as folder:
        model = compile_bytes(data, Path(folder))
        host = HostModel(model, kernels=[kernel_archive()], flags=("-O1",))
        x = random_rows(model, rows, seed) if x is None else x
        ours, expected = host.invoke(x), oracle.invoke(data, x)
        wrong = [row for row in range(len(x)) if not np.array_equal(ours[row], expected[row])]
        for row in [*wrong[:1], 0]:
            difference = first_difference(model, row, x[row], host.layer_outputs(x[row]), oracle)
            assert difference is None, str(difference)
        assert not wrong, f"rows {wrong} differ, yet no layer does: {oracle.version()}"
        return model
