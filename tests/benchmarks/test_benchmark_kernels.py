"""benchmarks/kernels.py: our kernels, our reference kernels and TFLM side by side, and their ratios."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tflite_builder import Builder
from tflm_roots import CROSS_CXX, cross_cxx

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "benchmarks" / "kernels.py"


def benchmark(*arguments: str) -> subprocess.CompletedProcess:
    environment = {key: value for key, value in os.environ.items() if key not in ("MLPERF_TINY", "TFLM_ROOT")} | {
        "PYTHONPATH": str(ROOT)
    }
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, env=environment)


@pytest.mark.qemu
def test_autoencoder_beside_the_recorded_figures():
    pytest.importorskip("tflite_micro", reason="needs the tflite-micro wheel: make setup")
    result = benchmark("autoencoder", "--json", "--rows", "3")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert (
        found["recorded"]["label"] == "recorded"
        and "12.2" in found["recorded"]["compiler"]
        and "7.2" in found["recorded"]["board"]
    )
    assert "not cycles" in found["unit"]
    (model,) = found["models"]
    assert (model["model"], model["macs"]) == ("autoencoder", 264_192) and "seeded random" in model["weights"]
    ours, reference, tflm, cmsis = model["sides"]
    assert [side["kernels"] for side in model["sides"]] == [
        "ours",
        "ours, reference",
        "TFLM reference",
        "TFLM + CMSIS-NN",
    ]
    assert [side["label"] for side in model["sides"]] == ["counted", "counted", "recorded", "recorded"]
    assert ours["bit_exact_rows"] == reference["bit_exact_rows"] == 3 and ours["unit"] == "instructions"
    count = ours["instructions_per_inference"]
    assert count > model["macs"] / 2, "SMLAD does two MACs in one instruction, no more"
    assert count <= 400_000, "the bound of the issue that brought these kernels"
    assert cmsis["ratio"] == pytest.approx(count / 582_890) and tflm["ratio"] == pytest.approx(count / 1_952_380)
    assert reference["instructions_per_inference"] > 3 * count and reference["ratio"] < 1 / 3
    assert len(ours["layers"]) == 10 and all(layer["kernel"] for layer in ours["layers"])
    assert abs(sum(layer["instructions"] for layer in ours["layers"]) / count - 1) < 0.005
    assert (
        {layer["kernel"] for layer in reference["layers"]}
        == {"fully_connected_s8"}
        != {layer["kernel"] for layer in ours["layers"]}
    )
    (entry,) = ours["by_sort"].values()
    assert entry["macs"] == model["macs"] and entry["per_mac"] == pytest.approx(entry["instructions"] / entry["macs"])
    assert (
        ours["flash_without_model_bytes"]
        == ours["flash_bytes"] - ours["model_bytes"]
        < cmsis["flash_without_model_bytes"]
    )


@pytest.mark.qemu
def test_any_tflite_is_counted_and_shown_layer_by_layer(tmp_path):
    """ADD and RELU cost few instructions a value."""
    pytest.importorskip("tflite_micro", reason="needs the tflite-micro wheel: make setup")
    b = Builder()
    x = b.tensor((1, 16, 25, 20), 0.05, 3)
    r = b.tensor((1, 16, 25, 20), 0.03, -128)
    b.op("RELU", [x], [r])
    y = b.tensor((1, 16, 25, 20), 0.07, -5)
    b.op("ADD", [x, r], [y], "AddOptions")
    path = tmp_path / "sum.tflite"
    path.write_bytes(b.finish([x], [y]))
    result = benchmark(str(path), "--rows", "1")
    assert result.returncode == 0, result.stderr
    rows = {
        line.split()[0]: line.split()
        for line in result.stdout.splitlines()
        if line.startswith(("ADD  ", "RELU  ")) and ">" in line
    }
    costs = {kind: (row[4], int(row[6].replace(",", "")) / 8000) for kind, row in rows.items()}
    assert costs["ADD"][0] == "weighted_sum_s8" and costs["ADD"][1] < 9
    assert costs["RELU"][0] == "rescale_s8" and costs["RELU"][1] < 6.5
    assert "counted" in result.stdout and "recorded:" not in result.stdout and "not cycles" in result.stdout


def test_an_unknown_model_is_named():
    result = benchmark("alexnet")
    assert result.returncode == 2 and "alexnet" in result.stderr and "ds_cnn" in result.stderr


@pytest.mark.skipif(not cross_cxx(), reason=CROSS_CXX)
def test_a_folder_without_tflm_is_named(tmp_path, monkeypatch):
    """TFLM_ROOT must hold a library; without it there is no side of TFLM."""
    from tflm_runtime import sides

    from tinyflow.board import load_board
    from tinyflow.errors import TinyflowError

    board = load_board("mps2-an386")
    monkeypatch.setenv("TFLM_ROOT", str(tmp_path))
    with pytest.raises(TinyflowError, match="libtensorflow-microlite.a"):
        sides(board)
    monkeypatch.delenv("TFLM_ROOT")
    assert sides(board) == []


@pytest.mark.slow
@pytest.mark.tflm
@pytest.mark.qemu
def test_tflm_is_counted_in_the_same_run(tmp_path):
    """A fully connected layer: every library for the core is a side, whose layers sum to its count, and whose answers
    were checked.
    """
    from kernels import measure

    path = tmp_path / "dense.tflite"
    b = Builder()
    x, y = b.tensor((1, 64), 0.05, 3), b.tensor((1, 32), 0.1, -5)
    w = b.const(np.random.default_rng(0).integers(-127, 128, (32, 64)), "int8", 0.01)
    b.op("FULLY_CONNECTED", [x, w], [y], "FullyConnectedOptions", activation="NONE")
    path.write_bytes(b.finish([x], [y]))
    ours, _, *theirs = measure(str(path), tmp_path, 2, None)["sides"]
    assert theirs and all(side["kernels"].startswith("TFLM ") and side["label"] == "counted" for side in theirs)
    for side in theirs:
        (layer,) = side["layers"]
        assert (layer["kind"], layer["macs"]) == ("FULLY_CONNECTED", 2048) and 0.9 < layer["instructions"] / side[
            "instructions_per_inference"
        ] <= 1
        assert side["ratio"] < 1 and side["model_bytes"] == path.stat().st_size and side["arena_bytes"] % 16 == 0
        assert side["flash_without_model_bytes"] > ours["flash_without_model_bytes"]
