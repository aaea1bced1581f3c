"""benchmarks/kernels.py: counted beside recorded, and their ratios."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "benchmarks" / "kernels.py"


def benchmark(*arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, env=environment)


@pytest.mark.qemu
def test_autoencoder_beside_the_recorded_figures():
    pytest.importorskip("tflite_micro", reason="needs the tflite-micro wheel: make setup")
    result = benchmark("autoencoder", "--json", "--rows", "3")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["recorded"]["label"] == "recorded" and "12.2" in found["recorded"]["compiler"] and "7.2" in found["recorded"]["board"]
    assert "not cycles" in found["unit"]
    (model,) = found["models"]
    assert (model["model"], model["macs"], model["label"], model["bit_exact_rows"]) == ("autoencoder", 264_192, "counted", 3)
    assert model["unit"] == "instructions" and model["recorded"]["tflm_cmsis_nn"] == 582_890
    ours = model["instructions_per_inference"]
    assert ours > model["macs"], "a MAC takes an instruction at least, in plain C"
    assert model["ratio_to_tflm_reference"] == pytest.approx(ours / 1_952_380)
    assert model["ratio_to_tflm_cmsis_nn"] == pytest.approx(ours / 582_890)
    text = benchmark("autoencoder", "--rows", "3").stdout
    row = next(line for line in text.splitlines() if line.startswith("autoencoder"))
    again = int(row.split()[2].replace(",", ""))
    assert abs(again - ours) <= 10, "two runs agree within two ticks of the counter"
    assert "recorded" in text and "not cycles" in text


def test_an_unknown_model_is_named():
    result = benchmark("alexnet")
    assert result.returncode == 2 and "alexnet" in result.stderr and "ds_cnn" in result.stderr
