"""ONNX export and the lowering of ONNX to TensorFlow."""

import random

import numpy as np
import onnx
import pytest
import torch
from tone_dataset import every_operation
from torch import nn

from tinyflow.convert.onnx import export_onnx, onnx_difference, relative_difference
from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import MfccConfig
from tinyflow.network.module import DerivedNetwork
from tinyflow.search.random_genotype import random_genotype

LABELS = ("a", "b", "c")


def shaken(genotype, seed: int = 0) -> DerivedNetwork:
    torch.manual_seed(seed)
    network = DerivedNetwork(genotype)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.3, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.3)
    return network.eval()


@pytest.mark.parametrize("seed", range(3))
def test_onnx_equals_torch_and_has_no_batch_norm(tmp_path, seed):
    genotype = random_genotype(random.Random(seed), MfccConfig(window=400, hop=200, n_mfcc=13), LABELS)
    network = shaken(genotype, seed)
    path = tmp_path / "model.onnx"
    assert export_onnx(network, (1, *genotype.frontend.shape), path) < 1e-5
    graph = onnx.load(path).graph
    assert "BatchNormalization" not in {node.op_type for node in graph.node}
    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == [1, 1, *genotype.frontend.shape]
    inputs = np.random.default_rng(7).standard_normal((8, 1, *genotype.frontend.shape)).astype(np.float32)
    assert onnx_difference(network, path, inputs) < 1e-5
    assert onnx_difference(shaken(genotype, seed + 1), path, inputs) > 1e-2  # the check can tell networks apart


def test_a_difference_is_refused_and_leaves_no_file(tmp_path):
    genotype = every_operation(LABELS)
    with pytest.raises(TinyflowError, match="differs from torch"):
        export_onnx(shaken(genotype), (1, *genotype.frontend.shape), tmp_path / "model.onnx", tolerance=-1.0)
    assert not list(tmp_path.iterdir())


def test_too_few_inputs_are_refused(tmp_path):
    with pytest.raises(TinyflowError, match="at least 8"):
        export_onnx(nn.Identity(), (1, 4, 4), tmp_path / "x.onnx", np.zeros((7, 1, 4, 4), np.float32))


def test_relative_difference():
    reference = np.array([[0.5, 100.0]], np.float32)
    assert relative_difference(reference, np.array([[0.6, 101.0]], np.float32)) == pytest.approx(0.1, rel=1e-5)
    assert relative_difference(reference, np.array([[np.nan, 100.0]], np.float32)) == float("inf")
    assert relative_difference(reference, reference[:, :1]) == float("inf")
