"""The derived network against hand counts and against plain DARTS arithmetic."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tone_dataset import every_operation, tone_dataset
from torch import nn
from torch.nn import functional as F

from tinyflow.convert.fold import fold_batch_norm
from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import TABLE_1, MfccConfig
from tinyflow.network.alignment import alignments
from tinyflow.network.build import build_network
from tinyflow.network.count import count
from tinyflow.network.genotype import read_genotype
from tinyflow.network.module import (
    DerivedNetwork,
    FactorizedReduce,
    ResidualConv,
    operation,
)
from tinyflow.network.operations import OPERATION_SETS, OPERATIONS
from tinyflow.recipe import Train
from tinyflow.search.random_genotype import random_genotype
from tinyflow.train import load_trained, train_model

GENOTYPES = Path(__file__).resolve().parents[2] / "configs" / "genotypes"
LABELS = ("a", "b", "c")


def shake(network: nn.Module, seed: int = 0) -> nn.Module:
    """Batch norms as after training, so that folding has something to fold."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.3, 2),
                (module.weight, 0.5, 1.5),
                (module.bias, -0.5, 0.5),
            ):
                if tensor is not None:  # the alignment's has no affine
                    tensor.data.uniform_(low, high, generator=generator)
    return network.eval()


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("size", [(7, 10), (8, 5)])
@pytest.mark.parametrize("stride", [1, 2])
def test_sizes_halve_upwards(name, size, stride):
    module, x = operation(name, 4, stride), torch.zeros(2, 4, *size)
    result = module(x, x) if isinstance(module, ResidualConv) else module(x)
    assert result.shape == (2, 4, *(-(-n // stride) for n in size))


def test_hand_count_of_operations():
    shape = (8, 10, 6)  # channels, rows, columns
    assert count(operation("sep_conv_3x3", 8, 1), shape) == (2 * (8 * 9 + 8 * 8 + 16), 2 * 60 * (8 * 9 + 8 * 8))
    assert count(operation("sep_conv_5x5", 8, 2), shape) == (2 * (8 * 25 + 8 * 8 + 16), 2 * 15 * (8 * 25 + 8 * 8))
    assert count(operation("dil_conv_5x5", 8, 1), shape) == (8 * 25 + 8 * 8 + 16, 60 * (8 * 25 + 8 * 8))
    assert count(operation("skip_connect", 8, 2), shape) == (8 * 8 + 16, 15 * 8 * 8)
    assert count(operation("ds_conv_5x5", 8, 2), shape) == (8 * 25 + 8 * 8 + 16, 15 * (8 * 25 + 8 * 8))
    assert count(operation("time_conv_9", 8, 1), shape) == (8 * 9 + 16, 60 * 8 * 9)
    assert count(operation("freq_conv_5", 8, 2), shape) == (8 * 5 + 16, 15 * 8 * 5)
    assert count(nn.Sequential(nn.Flatten(), nn.Linear(480, 12)), shape) == (480 * 12 + 12, 480 * 12)


def test_hand_count_of_a_network():
    """One cell of skips and pools: stem, two preprocess convolutions, classifier."""
    from tone_dataset import cell

    skips = cell(*[(("skip_connect", 0), ("avg_pool_3x3", 1))] * 4)
    genotype = every_operation(LABELS, MfccConfig(n_mfcc=10), channels=4, cells=1, stem_stride=2)
    genotype = type(genotype)("keywords", LABELS, genotype.frontend, skips, skips, 4, 1, 2)
    places = 25 * 5  # 49 x 10 through a stem of stride 2
    parameters = 12 * 9 + 24 + 2 * (12 * 4 + 8) + 16 * 3 + 3
    assert count(DerivedNetwork(genotype), (1, 49, 10)) == (parameters, places * (12 * 9 + 2 * 12 * 4) + 16 * 3)


@pytest.mark.parametrize("size", [(7, 10), (8, 5), (7, 5), (1, 1)])
def test_factorized_reduce_is_darts_with_a_zero_behind_odd_sizes(size):
    """One batch norm over the concatenation of conv(x) and conv(x shifted by one), as DARTS writes it."""
    layer = shake(FactorizedReduce(6, 5))
    x = torch.randn(2, 6, *size)
    shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
    both = torch.cat([F.conv2d(x, layer.even[0].weight, stride=2), F.conv2d(shifted, layer.odd[0].weight, stride=2)], 1)
    norms = [layer.even[1], layer.odd[1]]
    mean, variance, weight, bias = (
        torch.cat([getattr(n, k) for n in norms]) for k in ("running_mean", "running_var", "weight", "bias")
    )
    torch.testing.assert_close(layer(x), F.batch_norm(both, mean, variance, weight, bias), rtol=1e-5, atol=1e-5)


def darts(network: DerivedNetwork, genotype, x):
    """The same weights in the order the papers write it: a ReLU at the head of every convolution."""
    states = [network.stem(x)] * 2
    for index, cell in enumerate(network.cells):
        nodes = genotype.reduction if index in genotype.reductions else genotype.normal
        inner = [cell.before(F.relu(states[0])), cell.last(F.relu(states[1]))]
        for node, edges in zip(nodes, cell.edges):
            terms = []
            for edge, module in zip(node, edges):
                state = inner[edge.source]
                if edge.operation == "residual_conv_3x3":
                    kept = state if module.convolution[0].stride == (1, 1) else F.avg_pool2d(state, 3, 2, 1)
                    terms.append(kept + module.convolution(F.relu(state)))
                    continue
                convolves = "conv" in edge.operation or isinstance(module, FactorizedReduce)
                terms.append(module(F.relu(state) if convolves else state))
            inner.append(sum(terms))
        states = [states[1], torch.cat(inner[2:], 1)]
    return network.classifier(states[1].mean((2, 3)))


@pytest.mark.parametrize("operations", OPERATION_SETS)
@pytest.mark.parametrize("seed", range(4))
def test_sharing_rectified_maps_changes_nothing(seed, operations):
    genotype = random_genotype(
        random.Random(seed), MfccConfig(n_mfcc=13), LABELS, channels=6, cells=4, operations=operations
    )
    network = shake(DerivedNetwork(genotype), seed)
    x = torch.randn(3, 1, *genotype.frontend.shape)
    with torch.no_grad():
        expected = darts(network, genotype, x)
        torch.testing.assert_close(network(x), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(fold_batch_norm(network)(x), expected, rtol=1e-4, atol=1e-4)
    assert expected.abs().max() > 1e-3


@pytest.mark.parametrize("mfcc", TABLE_1, ids=lambda config: config.name)
def test_every_front_end_of_table_1_fits(mfcc):
    network = DerivedNetwork(every_operation(LABELS, mfcc)).eval()
    assert network(torch.zeros(2, 1, *mfcc.shape)).shape == (2, 3)


def test_drop_path_drops_only_in_training():
    network = shake(DerivedNetwork(every_operation(LABELS)))
    network.drop_path = 0.5
    x = torch.randn(4, 1, 49, 10)
    assert torch.equal(network(x), network(x))
    for module in network.modules():
        if not isinstance(module, nn.BatchNorm2d):
            module.training = True
    assert not torch.equal(network(x), network(x))


def test_paper_size():
    """The paper's genotype of this size: 297 K parameters, 151 M MACs; ours is hand-written, within 2 %."""
    genotype = read_genotype(GENOTYPES / "paper.json").with_task("gsc35", tuple(f"word{n}" for n in range(35)))
    parameters, macs = count(DerivedNetwork(genotype), (1, *genotype.frontend.shape))
    assert genotype.frontend.shape == (79, 40) and (genotype.channels, genotype.cells, genotype.stem_stride) == (
        16,
        8,
        1,
    )
    assert parameters == pytest.approx(297_000, rel=0.02) and macs == pytest.approx(151e6, rel=0.02)


@pytest.mark.parametrize("name", ["demo", "board"])
def test_board_genotypes_stay_below_5_million_macs(name):
    genotype = read_genotype(GENOTYPES / f"{name}.json").with_task("gsc12", tuple(f"word{n}" for n in range(12)))
    assert 2.5e6 < count(DerivedNetwork(genotype), (1, *genotype.frontend.shape))[1] <= 5e6


def test_a_genotype_without_labels_is_refused():
    with pytest.raises(TinyflowError, match="no labels"):
        build_network(read_genotype(GENOTYPES / "demo.json"))


@pytest.mark.parametrize(
    "mfcc, layer", zip(TABLE_1, alignments(TABLE_1, channels=2)), ids=lambda value: getattr(value, "name", "")
)
def test_a_kept_alignment_layer_brings_every_front_end_to_one_size_and_folds(mfcc, layer):
    aligned = replace(every_operation(LABELS, mfcc), alignment="preprocess", alignment_layer=layer.to_dict())
    network = shake(build_network(aligned))
    x = torch.randn(2, 1, *mfcc.shape)
    with torch.no_grad():
        assert network.alignment(x).shape == (2, 2, 49, 40)
        torch.testing.assert_close(fold_batch_norm(network)(x), network(x), rtol=1e-4, atol=1e-4)

    # the network behind the layer sees 49 x 40, as this front end's own does
    rest = replace(aligned, frontend=MfccConfig())
    parameters, macs = count(build_network(replace(rest, alignment_layer=None)), (1, 49, 40))
    added = 9 * 2 + 9 * 3 * 4  # the layer's weights (its batch norm has none), and a stem that reads two channels
    rows, columns = layer.convolved(mfcc.shape)
    stem = 25 * 20 * 9 * 3 * 4
    assert count(network, (1, *mfcc.shape)) == (parameters + added, macs + rows * columns * 9 * 2 + stem)


def test_native_size_is_the_ablation():
    genotype = replace(every_operation(LABELS, TABLE_1[1]), alignment="preprocess")
    assert count(build_network(genotype), (1, 157, 80)) == count(
        DerivedNetwork(replace(genotype, alignment="native")), (1, 157, 80)
    )


def test_ds_cnn_is_that_of_mlperf_tiny():
    """49 x 10 features, 12 words: MLPerf Tiny's MACs (benchmarks/mlperf_tiny.py), and its parameters without the
    convolutions' biases, which the batch norms make idle."""
    genotype = replace(every_operation(tuple(f"word{n}" for n in range(12))), architecture="ds_cnn")
    parameters, macs = count(build_network(genotype), (1, 49, 10))
    assert macs == 2_656_768
    assert parameters == 64 * 40 + 4 * (64 * 9 + 64 * 64) + 9 * 2 * 64 + 64 * 12 + 12


@pytest.mark.parametrize("mfcc", [*TABLE_1, MfccConfig(n_mfcc=13)], ids=lambda config: config.name)
def test_ds_cnn_takes_every_front_end(mfcc):
    network = build_network(replace(every_operation(LABELS, mfcc), architecture="ds_cnn")).eval()
    assert network(torch.zeros(2, 1, *mfcc.shape)).shape == (2, 3)
    assert network[:2](torch.zeros(1, 1, *mfcc.shape)).shape[2:] == tuple(-(-n // 2) for n in mfcc.shape)


KINDS = {
    "kept layer": {
        "alignment": "preprocess",
        "alignment_layer": {"kernel": 3, "stride": [2, 1], "size": [20, 9], "channels": 2},
    },
    "padded": {"alignment": "zero_pad", "alignment_layer": {"size": [60, 12]}},
    "ds_cnn": {"architecture": "ds_cnn"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_trains_and_is_read_back(kind, tmp_path):
    data = tone_dataset(tmp_path / "data", training=8, held_out=2)
    genotype = replace(every_operation(data.labels), **KINDS[kind])
    trained = train_model(
        genotype, data, Train(epochs=1, batch_size=16, device="cpu", ema_decay=0.9), tmp_path / "train"
    )
    again = load_trained(tmp_path / "train")
    x = torch.randn(2, 1, 49, 10)
    with torch.no_grad():
        assert again.genotype == genotype and torch.equal(again.network(x), trained.network(x))
        assert not torch.equal(again.network(x)[0], again.network(x)[1])
    assert (trained.parameters, trained.macs) == count(build_network(genotype.pruned()), (1, 49, 10))
