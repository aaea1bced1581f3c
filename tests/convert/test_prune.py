"""Pruning a network that was trained padded: what is compiled is the small one."""

import random
from dataclasses import replace

import pytest
import torch
from tone_dataset import every_operation, tone_dataset

from tinyflow.convert import compile_trained
from tinyflow.convert.prune import prune, saving
from tinyflow.frontend.mfcc.config import TABLE_1
from tinyflow.network.build import build_network
from tinyflow.network.count import count
from tinyflow.network.operations import OPERATION_SETS
from tinyflow.recipe import Compile, Train
from tinyflow.search.random_genotype import random_genotype
from tinyflow.train import load_trained, train_model


def padded(genotype, size):
    return replace(genotype, alignment="zero_pad", alignment_layer={"size": list(size)})


@pytest.mark.parametrize("operations", OPERATION_SETS)
def test_pruning_keeps_weights_and_logits_and_saves_macs_and_arena(operations):
    genotype = padded(random_genotype(random.Random(1), TABLE_1[6], operations=operations), (157, 80))
    network = build_network(genotype).eval()
    pruned_genotype, pruned = prune(genotype, network)
    x = torch.randn(3, 1, 49, 40)
    with torch.no_grad():
        torch.testing.assert_close(pruned(x), network(x), rtol=1e-5, atol=1e-5)
    assert pruned_genotype == replace(genotype, alignment_layer=None)
    saved = saving(genotype)
    assert saved.pruned_macs == count(pruned, (1, 49, 40))[1] and saved.padded_macs == count(network, (1, 49, 40))[1]
    assert saved.pruned_macs < 0.2 * saved.padded_macs  # 49 x 40 of 157 x 80 is 0.156
    assert saved.pruned_arena_bytes < 0.2 * saved.padded_arena_bytes
    assert f"{saved.pruned_macs / 1e6:.2f} of {saved.padded_macs / 1e6:.2f} M MACs" in str(saved)


def test_there_is_nothing_to_prune_at_the_own_size():
    genotype = every_operation(("a", "b"))
    network = build_network(genotype)
    assert prune(genotype, network) == (genotype, network)


@pytest.mark.slow
def test_a_network_trained_padded_is_compiled_at_its_own_size(tmp_path):
    data = tone_dataset(tmp_path / "data")
    genotype = padded(every_operation(data.labels), (70, 13))
    trained = train_model(
        genotype, data, Train(epochs=3, batch_size=16, learning_rate=0.05, device="cpu"), tmp_path / "train"
    )
    native = count(build_network(every_operation(data.labels)), (1, 49, 10))
    assert (trained.parameters, trained.macs) == native and load_trained(tmp_path / "train").genotype == genotype
    compiled = compile_trained(trained, data, Compile(calibration_clips=32, selftest_clips=2), tmp_path / "compile")
    assert compiled.macs == trained.macs and compiled.input.shape == (1, 49, 10, 1)
    assert compiled.arena_bytes == saving(genotype).pruned_arena_bytes
    assert compiled.checks["pruned against padded"] < 1e-5
    assert compiled.checks["pruning saves"] == str(saving(genotype))
