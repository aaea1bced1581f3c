"""benchmarks/plain_export.py without onnx2tf and the emulator: its network, its table, its errors."""

import json
import sys

import plain_export
import pytest

from tinyflow.cost.instructions import macs
from tinyflow.errors import TinyflowError
from tinyflow.network.operations import OPERATION_SETS
from tinyflow.network.shape_graph import shape_graph


def test_the_network_has_every_operation_of_darts():
    genotype = plain_export.network(16)
    assert {edge.operation for cell in (genotype.normal, genotype.reduction) for node in cell for edge in node} == set(
        OPERATION_SETS["darts"]
    )
    assert macs(shape_graph(genotype, ordered=False)) == 4_049_216


def test_the_table_shows_both_exports_and_what_was_recorded():
    sides = [{"kernels": "ours", "instructions_per_inference": 8000, "per_nominal_mac": 2.0, "arena_bytes": 100}]
    plain = [{**sides[0], "instructions_per_inference": 10000, "per_nominal_mac": 2.5}]
    result = {
        "models": [
            {
                "channels": 16,
                "macs": 4000,
                "exports": {"our export": {"sides": sides}, "onnx2tf, plain": {"sides": plain}},
            }
        ]
    }
    recorded = json.loads(plain_export.RECORDED.read_text())["darts"]
    lines = plain_export.table(result, recorded).splitlines()
    assert "our export" in lines[1] and "2.00    1.000" in lines[1]
    assert "onnx2tf, plain" in lines[2] and "2.50    0.800" in lines[2]
    assert "15.63  (recorded:" in lines[4]


def test_a_python_without_onnx2tf_is_named(tmp_path):
    from mlperf_tiny import autoencoder

    (tmp_path / "model_int8.tflite").write_bytes(autoencoder())
    with pytest.raises(TinyflowError, match="onnx2tf failed"):
        plain_export.plain(sys.executable, tmp_path / "absent.onnx", tmp_path / "out")
