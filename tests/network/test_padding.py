"""Zero padding chips away exactly (paper, section 3.3): padded and masked, a network gives what it gives at its own
size.
"""

import random
from dataclasses import replace

import pytest
import torch
from torch import nn

from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import TABLE_1, MfccConfig
from tinyflow.network.alignment import padded_size
from tinyflow.network.build import build_network
from tinyflow.network.module import FactorizedReduce
from tinyflow.network.operations import OPERATION_SETS
from tinyflow.network.padding import Padding, pad_to
from tinyflow.search.random_genotype import random_genotype

SIZE = list(padded_size(TABLE_1))  # 157 x 80
TOLERANCE = 1e-5


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pair(
    seed: int, mfcc: MfccConfig, operations: str, cells: int = 4, stem_stride: int = 1
) -> tuple[nn.Module, nn.Module]:
    """(padded and masked, at its own size) with the same random weights and random statistics of batch norm."""
    genotype = random_genotype(
        random.Random(seed), mfcc, channels=4, cells=cells, stem_stride=stem_stride, operations=operations
    )
    genotype = replace(genotype, alignment="zero_pad", alignment_layer={"size": SIZE})
    torch.manual_seed(seed)
    padded, native = build_network(genotype), build_network(genotype.pruned())
    for module in padded.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)  # so that the logits hear the input through all the cells
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.3, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.5)
    padded.classifier.weight.data.mul_(0.2)
    native.load_state_dict(padded.state_dict())
    return padded.eval(), native.eval()


def difference(padded: nn.Module, native: nn.Module, x: torch.Tensor) -> float:
    """Largest |padded - native| / max(1, |native|) of the logits."""
    with torch.no_grad():
        expected, given = native(x), padded(x)
    return float(((given - expected).abs() / expected.abs().clamp(min=1)).max())


@pytest.mark.parametrize("operations", OPERATION_SETS)
@pytest.mark.parametrize("mfcc", TABLE_1, ids=lambda config: config.name)
def test_the_padded_network_is_the_pruned_one(mfcc, operations):
    for seed in range(3):
        padded, native = pair(seed, mfcc, operations, cells=3 + seed, stem_stride=1 + seed % 2)
        x = torch.randn(2, 1, *mfcc.shape)
        assert difference(padded, native, x) <= TOLERANCE
        with torch.no_grad():
            assert torch.equal(padded(pad_to(x, tuple(SIZE))), padded(x))  # it takes padded features too
            assert (native(x)[0] - native(x)[1]).abs().max() > 1e-3  # else the logits would say nothing
        assert difference(padded.double(), native.double(), x.double()) <= 1e-12  # what differs is rounding


@pytest.mark.parametrize("mask", ["zero", "lowest", "crop"])
def test_without_one_of_the_masks_it_is_not(mask, monkeypatch):
    cases = [
        (seed, mfcc, operations)
        for seed in range(2)
        for mfcc in (TABLE_1[2], TABLE_1[6])
        for operations in OPERATION_SETS
    ]
    for masked in (True, False):
        if not masked:
            monkeypatch.setattr(Padding, mask, lambda self, x: x)  # before the networks are made: their hooks bind it
        for seed, mfcc, operations in cases:
            x = torch.randn(2, 1, *mfcc.shape, generator=torch.Generator().manual_seed(seed))
            assert (difference(*pair(seed, mfcc, operations), x) <= TOLERANCE) is masked, (seed, mfcc.name, operations)


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.AvgPool2d, nn.MaxPool2d, FactorizedReduce, nn.AdaptiveAvgPool2d])
def test_every_kind_of_layer_needs_its_mask(kind):
    """The masks of one kind of layer alone are taken away: each does its part."""
    wrong = 0
    for seed in range(4):
        for operations in OPERATION_SETS:
            padded, native = pair(seed, TABLE_1[2], operations)
            for module in padded.modules():
                if isinstance(module, kind):
                    module._forward_pre_hooks.clear()
            wrong += not difference(padded, native, torch.randn(2, 1, *TABLE_1[2].shape)) <= 100 * TOLERANCE
    assert wrong >= 2, f"{wrong} of 8 networks notice"


@pytest.mark.parametrize("operations", OPERATION_SETS)
def test_training_padded_is_training_at_the_own_size(operations):
    """Logits, gradients and the running statistics of batch norm: padded positions have no part in any."""
    padded, native = pair(0, TABLE_1[2], operations)
    padded.double().train(), native.double().train()
    x = torch.randn(4, 1, *TABLE_1[2].shape, dtype=torch.float64)
    results = []
    for network in (padded, native):
        logits = network(x)
        logits.square().sum().backward()
        results.append([logits.detach(), *(p.grad for p in network.parameters()), *network.buffers()])
    for ours, theirs in zip(*results):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_masks():
    padding = Padding((5, 4), (3, 2))
    x = torch.full((1, 2, 5, 4), -torch.inf)
    x[:, :, :3, :2] = torch.arange(12.0).reshape(1, 2, 3, 2)
    assert padding.mask(x).sum() == 6 and padding.valid(torch.empty(1, 1, 3, 2)) == (2, 1)
    assert padding.zero(x).sum() == 66 and torch.isfinite(padding.zero(x)).all()  # an -inf of a max pool is no NaN
    assert torch.equal(padding.lowest(torch.nan_to_num(x, neginf=0.0)), x)
    torch.testing.assert_close(padding.mean(x), torch.tensor([[2.5, 8.5]]))
    assert padding.crop(x).shape == (1, 2, 3, 2)
    with pytest.raises(TinyflowError, match="does not lie in"):
        Padding((4, 4), (5, 4))
