"""The mixed operation of a bundle of edges, operation by operation, against those of the derived network."""

import pytest
import torch
from torch.nn import functional as F

from tinyflow.network.module import FactorizedReduce, operation
from tinyflow.network.operations import OPERATION_SETS, facts
from tinyflow.network.padding import Padding
from tinyflow.search.norm import BatchNorm
from tinyflow.search.operations import Bundle, max_pool

EDGES, CHANNELS = 3, 4


def bundle_of(operations: str, stride: int) -> Bundle:
    torch.manual_seed(5)
    bundle = Bundle(("none", *OPERATION_SETS[operations]), EDGES, CHANNELS, stride).eval()
    for norm in bundle.modules():
        if isinstance(norm, BatchNorm):  # other than 0 and 1
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    return bundle


def one(bundle: Bundle, name: str, edge: int) -> torch.Tensor:
    weights = torch.zeros(EDGES, len(bundle.primitives))
    weights[edge, bundle.primitives.index(name)] = 0.7
    return weights


@torch.no_grad()
def copy_norm(source: BatchNorm, target: torch.nn.BatchNorm2d, part: slice) -> None:
    target.running_mean.copy_(source.running_mean[part])
    target.running_var.copy_(source.running_var[part])


@torch.no_grad()
@pytest.mark.parametrize("stride", (1, 2))
@pytest.mark.parametrize("name", OPERATION_SETS["darts"])
def test_an_operation_is_the_derived_networks(name, stride):
    bundle, x = bundle_of("darts", stride), torch.randn(2, CHANNELS, 7, 5)
    for edge in range(EDGES):
        derived, part = operation(name, CHANNELS, stride).eval(), slice(edge * CHANNELS, (edge + 1) * CHANNELS)
        if facts(name).separables:
            for stage, first in zip(bundle.convolutions[name], range(0, 8, 4)):  # depthwise, pointwise, norm, ReLU
                derived[first].weight.copy_(stage.depthwise[edge][:, None])
                derived[first + 1].weight.copy_(stage.pointwise[edge][..., None, None])
                copy_norm(stage.norm, derived[first + 2], part)
        elif isinstance(derived, FactorizedReduce):
            reduce, half = bundle.convolutions[name][0], CHANNELS // 2
            derived.even[0].weight.copy_(reduce.weight[edge, :half][..., None, None])
            derived.odd[0].weight.copy_(reduce.weight[edge, half:][..., None, None])
            copy_norm(reduce.norm, derived.even[1], slice(part.start, part.start + half))
            copy_norm(reduce.norm, derived.odd[1], slice(part.start + half, part.stop))
        expected = derived(F.relu(x) if facts(name).separables or isinstance(derived, FactorizedReduce) else x)
        if "pool" in name:  # PC-DARTS: a pool is followed by batch norm
            first = 0 if name.startswith("max") else CHANNELS
            mean, variance = (
                bundle.pools.running_mean[first : first + CHANNELS],
                bundle.pools.running_var[first : first + CHANNELS],
            )
            expected = F.batch_norm(expected, mean, variance)
        result = bundle(x, one(bundle, name, edge), None)
        torch.testing.assert_close(result[:, part], 0.7 * expected, atol=1e-5, rtol=1e-4)
        result[:, part] = 0
        torch.testing.assert_close(result, torch.zeros_like(result), atol=1e-6, rtol=0)


@torch.no_grad()
def test_mcu_kernels_lie_along_time_and_frequency():
    """time_conv_9 sees nine frames (rows) and one coefficient, freq_conv_5 one frame and five coefficients."""
    bundle = bundle_of("mcu", 1)
    for name, reach in (
        ("time_conv_9", (4, 0)),
        ("freq_conv_5", (0, 2)),
        ("ds_conv_5x5", (2, 2)),
        ("residual_conv_3x3", (1, 1)),
    ):
        x = torch.zeros(1, CHANNELS, 15, 15)
        quiet = bundle(x, one(bundle, name, 0), None)
        x[:, :, 7, 7] = 1.0
        heard = (bundle(x, one(bundle, name, 0), None) - quiet)[0].abs().amax(0) > 1e-6
        rows, columns = torch.nonzero(heard, as_tuple=True)
        assert (7 - rows.min(), rows.max() - 7) == (reach[0],) * 2 and (7 - columns.min(), columns.max() - 7) == (
            reach[1],
        ) * 2, name


@torch.no_grad()
def test_the_residual_adds_its_source():
    bundle, x = bundle_of("mcu", 2), torch.randn(2, CHANNELS, 7, 6)
    bundle.convolutions["residual_conv_3x3"][0].depthwise.zero_()
    bundle.convolutions["residual_conv_3x3"][0].norm.running_mean.zero_()
    result = bundle(x, one(bundle, "residual_conv_3x3", 1), None)[:, CHANNELS : 2 * CHANNELS]
    torch.testing.assert_close(result, 0.7 * F.avg_pool2d(x, 3, 2, 1), atol=1e-6, rtol=1e-5)


def test_none_is_zero_and_only_shrinks_the_others():
    bundle = bundle_of("darts", 1)
    assert not bundle(torch.randn(2, CHANNELS, 6, 6), one(bundle, "none", 1), None).any()


@pytest.mark.parametrize("size, stride", ((3, 1), (3, 2), (2, 2)))
def test_max_pool_never_sees_the_padding(size, stride):
    x = -1 - torch.rand(2, 3, 9, 8)  # all below zero: a zero from the padding would win
    valid = x[:, :, :5, :7]
    padded = torch.zeros_like(x)
    padded[:, :, :5, :7] = valid
    padding = Padding((9, 8), (5, 7))
    result, expected = max_pool(padded, padding, size, stride), max_pool(valid, None, size, stride)
    rows, columns = padding.valid(result)
    torch.testing.assert_close(result[:, :, :rows, :columns], expected)
    assert not result[:, :, rows:].any() and not result[:, :, :, columns:].any()
