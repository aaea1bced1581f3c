"""Batch norm of search: torch's where nothing is masked, statistics of the valid part where something is."""

import pytest
import torch
from torch import nn

from tinyflow.network.padding import Padding
from tinyflow.search.norm import BatchNorm
from tinyflow.search.world import World


def pair(affine: bool = False) -> tuple[BatchNorm, nn.BatchNorm2d]:
    ours, theirs = BatchNorm(6, affine), nn.BatchNorm2d(6, affine=affine)
    if affine:
        with torch.no_grad():
            ours.weight.uniform_(0.5, 2)
            ours.bias.normal_()
        theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize("affine", (False, True))
@pytest.mark.parametrize("layout", (torch.contiguous_format, torch.channels_last))
def test_without_a_mask_it_is_torchs(affine, layout):
    torch.manual_seed(0)
    ours, theirs = pair(affine)
    for _ in range(3):
        x = (3 * torch.randn(4, 6, 5, 7) + 2).contiguous(memory_format=layout)
        torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize("affine", (False, True))
def test_masked_statistics_are_those_of_the_valid_part(affine):
    torch.manual_seed(1)
    ours, theirs = pair(affine)
    x = 3 * torch.randn(4, 6, 9, 8) + 2
    x[:, :, 5:] = 1e3  # what padding may hold must not matter
    x[:, :, :, 6:] = -1e3
    inner = x[:, :, :5, :6].clone().requires_grad_()
    x.requires_grad_()
    result, expected = ours(x, Padding((9, 8), (5, 6)).mask(x))[:, :, :5, :6], theirs(inner)
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    direction = torch.randn_like(expected)
    (result * direction).sum().backward()
    (expected * direction).sum().backward()
    torch.testing.assert_close(x.grad[:, :, :5, :6], inner.grad, atol=1e-5, rtol=1e-4)
    assert not x.grad[:, :, 5:].any() and not x.grad[:, :, :, 6:].any()


@pytest.mark.parametrize("masked", (False, True))
def test_scale_multiplies_the_result_and_has_a_gradient(masked):
    torch.manual_seed(2)
    ours, x = BatchNorm(6), torch.randn(4, 6, 5, 7)
    mask = Padding((5, 7), (4, 7)).mask(x) if masked else None
    scale = torch.rand(6, requires_grad=True)
    result = ours(x, mask, scale)
    plain = ours(x, mask)
    torch.testing.assert_close(result, plain * scale[:, None, None])
    result.square().sum().backward()
    torch.testing.assert_close(scale.grad, 2 * scale.detach() * plain.square().sum((0, 2, 3)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("masked", (False, True))
def test_momentum_none_averages_all_batches(masked):
    torch.manual_seed(3)
    ours, batches = BatchNorm(2), torch.randn(5, 4, 2, 3, 3)
    ours.momentum = None
    ours.reset_running_stats()
    for batch in batches:
        ours(batch, torch.ones(1, 1, 3, 3) if masked else None)
    torch.testing.assert_close(ours.running_mean, batches.mean((0, 1, 3, 4)))
    torch.testing.assert_close(ours.running_var, batches.var((1, 3, 4)).mean(0))


def test_two_processes_have_the_statistics_of_the_whole_batch(monkeypatch):
    """Uneven shares of one batch: the other process's sums are added as an all-reduce would."""
    torch.manual_seed(4)
    whole, alone = 3 * torch.randn(7, 6, 5, 4) + 100, BatchNorm(6)
    expected = alone(whole)
    sums = {}

    class Recorded(World):
        def sum(self, x):
            sums[self.rank] = x.detach()
            return x + sums.get(1 - self.rank, 0)

    shares = [whole[:4], whole[4:]]
    ours = [BatchNorm(6), BatchNorm(6)]
    for rank in (0, 1, 0):  # rank 0 again, now that the sums of rank 1 are known
        monkeypatch.setattr("tinyflow.search.norm.current_world", lambda rank=rank: Recorded(rank, 2))
        ours[rank].reset_running_stats()
        part = ours[rank](shares[rank])
    torch.testing.assert_close(part, expected[:4], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours[0].running_var, alone.running_var)
    torch.testing.assert_close(ours[0].running_mean, alone.running_mean)
