"""int8 TFLite of whole networks: every operation, every size of map, against torch and tflite_micro."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from tone_dataset import cell, every_operation
from torch import nn

from tinyflow.compile.lower import lower
from tinyflow.compile.tflite import read_tflite
from tinyflow.convert.onnx import export_onnx, torch_answers
from tinyflow.convert.quantize import LOG, check_operators, to_tflite
from tinyflow.convert.trained import float_check
from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import TABLE_1, MfccConfig
from tinyflow.network.alignment import alignments
from tinyflow.network.build import build_network
from tinyflow.reference import oracle
from tinyflow.reference.hostmodel import HostModel
from tinyflow.reference.interpreter import Interpreter
from tinyflow.search.random_genotype import random_genotype

LABELS = ("a", "b", "c")
# as normal cell every operation at stride 1, as reduction cell at stride 2
MCU = cell(
    (("ds_conv_3x3", 0), ("time_conv_9", 1)),
    (("freq_conv_5", 0), ("residual_conv_3x3", 1)),
    (("ds_conv_5x5", 0), ("max_pool_3x3", 1)),
    (("avg_pool_3x3", 0), ("skip_connect", 1)),
)
# What a derived network may turn into; a stray TRANSPOSE or QUANTIZE would be dear, so it fails here.
OURS = {
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "ADD",
    "CONCATENATION",
    "AVERAGE_POOL_2D",
    "MAX_POOL_2D",
    "MEAN",
    "PAD",
    "STRIDED_SLICE",
    "RELU",
}


def convert(network: nn.Module, shape: tuple[int, int], folder, clips: int = 16):
    """(features, float TFLite, int8 TFLite) of ``network`` for inputs (1, *shape)."""
    features = np.random.default_rng(0).standard_normal((clips, *shape)).astype(np.float32)
    export_onnx(network, (1, *shape), folder / "model.onnx", features[:8, None])
    return features, *to_tflite(folder / "model.onnx", features, folder)


def shaken(genotype, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    network = build_network(genotype)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.3, 2)
    return network.eval()


def check(network: nn.Module, shape: tuple[int, int], folder) -> dict[str, int]:
    """Float TFLite equal to torch, int8 near it, our C equal to tflite_micro; the operators of the int8 model."""
    features, float_model, int8_model = convert(network, shape, folder)
    assert float_check(network, float_model, features[:8], 1e-4) < 1e-4
    assert "at most" not in (folder / LOG).read_text()
    found = check_operators(int8_model)
    compiled = lower(int8_model, folder / "c", "test")
    scale, zero_point = Interpreter(int8_model).input_quantization
    rows = np.clip(np.rint(features[:8] / scale) + zero_point, -128, 127).astype(np.int8)
    rows = rows.reshape(8, *compiled.input.shape[1:])
    expected = oracle.invoke(int8_model, rows)
    assert np.array_equal(HostModel(compiled).invoke(rows), expected)
    logits = torch_answers(network, features[:8, None])
    real = compiled.output.scale * (expected.reshape(8, -1).astype(np.float64) - compiled.output.zero_point)
    assert np.abs(real - logits).max() < 0.15 * np.ptp(logits)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "mfcc", [MfccConfig(n_mfcc=10), MfccConfig(window=400, hop=200, n_mels=40)], ids=lambda mfcc: mfcc.name
)
def test_every_operation(tmp_path, mfcc):
    found = check(shaken(every_operation(LABELS, mfcc)), mfcc.shape, tmp_path)
    assert set(found) <= OURS and {"AVERAGE_POOL_2D", "MAX_POOL_2D", "STRIDED_SLICE", "PAD"} <= set(found)
    graph = read_tflite(tmp_path / "model_int8.tflite")
    assert graph.tensor(graph.inputs[0]).shape == (1, *mfcc.shape, 1)
    dilations = {(op.kind, op.options["dilation_h"]) for op in graph.ops if "CONV" in op.kind}
    assert ("DEPTHWISE_CONV_2D", 2) in dilations  # not as a grouped CONV_2D, not as SPACE_TO_BATCH_ND


@pytest.mark.slow
@pytest.mark.parametrize("case", range(4))
def test_random_genotypes_across_table_1(tmp_path, case):
    """benchmarks/conversion_sweep.py does 20 of them on all eight."""
    rng = random.Random(100 + case)
    mfcc = TABLE_1[2 * case + rng.randrange(2)]
    genotype = random_genotype(rng, mfcc, LABELS, stem_stride=1 + case % 2)
    assert set(check(shaken(genotype, case), mfcc.shape, tmp_path)) <= OURS


# One of each kind of geometry: with and without strides, with and without a resampling.
ALIGNED = {
    "400/100/80": ((3, 2), True),
    "400/200/40": ((1, 1), True),
    "640/160/80": ((2, 2), False),
    "640/320/40": ((1, 1), False),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ALIGNED)
def test_mcu_operations_behind_a_kept_alignment_layer(tmp_path, name):
    mfcc, layer = next(item for item in zip(TABLE_1, alignments(TABLE_1)) if item[0].name == name)
    stride, resampled = ALIGNED[name]
    assert (layer.stride, layer.convolved(mfcc.shape) != layer.size) == (stride, resampled)
    genotype = replace(
        every_operation(LABELS, mfcc),
        normal=MCU,
        reduction=MCU,
        alignment="preprocess",
        alignment_layer=layer.to_dict(),
    )
    found = check(shaken(genotype), mfcc.shape, tmp_path)
    assert set(found) <= OURS | {"RESIZE_NEAREST_NEIGHBOR"} and found.get("RESIZE_NEAREST_NEIGHBOR", 0) == resampled
    graph = read_tflite(tmp_path / "model_int8.tflite")
    assert graph.tensor(graph.inputs[0]).shape == (1, *mfcc.shape, 1)
    filters = {graph.tensor(op.inputs[1]).shape[1:3] for op in graph.ops if op.kind == "DEPTHWISE_CONV_2D"}
    assert {(9, 1), (1, 5), (3, 3), (5, 5)} == filters


@pytest.mark.slow
def test_an_alignment_layer_that_resamples_both_axes(tmp_path):
    """Two Gathers of torch's are one RESIZE_NEAREST_NEIGHBOR."""
    layer = {"kernel": 3, "stride": [2, 1], "size": [20, 7], "channels": 2}
    genotype = replace(every_operation(LABELS, cells=1), alignment="preprocess", alignment_layer=layer)
    assert check(shaken(genotype), (49, 10), tmp_path)["RESIZE_NEAREST_NEIGHBOR"] == 1


@pytest.mark.slow
def test_ds_cnn(tmp_path):
    genotype = replace(every_operation(LABELS, TABLE_1[6]), architecture="ds_cnn")
    found = check(shaken(genotype), TABLE_1[6].shape, tmp_path)
    assert found == {"CONV_2D": 5, "DEPTHWISE_CONV_2D": 4, "PAD": 1, "MEAN": 1, "FULLY_CONNECTED": 1}


def test_what_is_not_supported_is_named(tmp_path):
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(TinyflowError, match="ONNX Tanh at tensor .*Tanh_output_0"):
        convert(network, (8, 8), tmp_path)


def test_a_wrong_conversion_is_refused(tmp_path):
    network = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    features, float_model, _ = convert(network, (8, 7), tmp_path)
    assert float_check(network, float_model, features[:8], 1e-4) < 1e-4
    network[0].weight.data[0, 0, 0, 0] += 0.1
    with pytest.raises(TinyflowError, match="differs from torch"):
        float_check(network, float_model, features[:8], 1e-4)


@pytest.mark.parametrize(
    "calibration", [np.zeros((0, 4, 4)), np.zeros((3, 4)), np.full((3, 4, 4), np.nan)], ids=["empty", "flat", "nan"]
)
def test_calibration_must_be_clips(tmp_path, calibration):
    with pytest.raises(TinyflowError, match="calibration"):
        to_tflite(tmp_path / "model.onnx", calibration, tmp_path)


def test_a_crash_of_the_converter_shows_its_last_lines(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"not an ONNX file")
    with pytest.raises(TinyflowError, match="failed") as error:
        to_tflite(tmp_path / "model.onnx", np.zeros((2, 4, 4), np.float32), tmp_path)
    assert "log" in error.value.hint and "Error" in error.value.message
