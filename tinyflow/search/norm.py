"""Batch norm for search: statistics over valid positions only, and over all processes of one search."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tinyflow.search.world import World, current_world


class BatchNorm(nn.BatchNorm2d):
    """torch's batch norm, by default without affine, for masked maps (N, C, H, W) and for several processes.

    In training, mean and variance are those of the valid positions of the *global* batch: count, sum and sum of
    squares are summed over the processes (``current_world``), so a share of the batch gives what the whole would.
    Running statistics, momentum and evaluation are torch's.
    """

    def __init__(self, channels: int, affine: bool = False):
        super().__init__(channels, affine=affine)

    def forward(self, x: Tensor, mask: Tensor | None = None, scale: Tensor | None = None) -> Tensor:
        """x normalised, with what lies outside ``mask`` (1, 1, H, W; 1 where valid) normalised alike but not counted.

        ``scale`` (C,) multiplies the result: batch norm's own weight, so that a mixture's weight costs no extra pass.
        """
        weight = scale if self.weight is None else self.weight if scale is None else self.weight * scale
        bias = self.bias if self.bias is None or scale is None else self.bias * scale
        world = current_world() if self.training else World()
        if self.training and (mask is not None or world.size > 1):
            mean, variance = self._statistics(x, mask, world)
            return _normalise(x, mean, variance, weight, bias, self.eps)
        momentum = self.momentum
        if self.training and momentum is None:  # cumulative average
            self.num_batches_tracked += 1
            momentum = 1.0 / float(self.num_batches_tracked)
        if (
            x.device.type == "cpu" and x.shape[1] % 8
        ):  # no vectors in torch's kernel for channels-last then: ten times slower
            x = x.contiguous()
        return F.batch_norm(
            x, self.running_mean, self.running_var, weight, bias, self.training, momentum or 0.0, self.eps
        )

    def _statistics(self, x: Tensor, mask: Tensor | None, world: World) -> tuple[Tensor, Tensor]:
        """Mean and biased variance (C,) over the global batch; updates the running ones."""
        x = x.float()
        if mask is None:
            count = torch.full((1,), float(x.numel() // x.shape[1]), device=x.device)
            variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
        else:
            mask = mask.float()
            count = mask.sum().reshape(1) * len(x)
            mean = (x * mask).sum((0, 2, 3)) / count
            variance = (((x - mean[:, None, None]) * mask) ** 2).sum((0, 2, 3)) / count
        if world.size > 1:  # in float64, as a difference of large sums would lose the variance
            count, mean, variance = count.double(), mean.double(), variance.double()
            sums = world.sum(torch.cat([count, count * mean, count * (variance + mean**2)]))
            count, (mean, square) = sums[:1], (sums[1:] / sums[0]).view(2, -1)
            variance = square - mean**2
        with torch.no_grad():
            self.num_batches_tracked += 1
            momentum = 1.0 / self.num_batches_tracked if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean.to(self.running_mean), momentum)
            self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var), momentum)
        return mean.float(), variance.float()


def _normalise(
    x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    factor = torch.rsqrt(variance + eps)
    factor = factor if weight is None else factor * weight
    offset = -mean * factor if bias is None else bias - mean * factor
    return (x * factor[:, None, None] + offset[:, None, None]).to(x.dtype)
