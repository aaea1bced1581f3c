"""The mixed operation of PC-DARTS (Xu et al., 2020), for all edges of a cell that leave one node together.

Edges that leave the same node read the same tensor. So pools, whose batch norm has no weights of its own, and the
identity are computed once for all; and a depthwise and a pointwise convolution without anything between them *are*
one dense convolution with few channels, which for all edges is one call (a dense kernel is far faster on these few
channels than a depthwise one). The weights stay those of the separable convolutions: only their product is formed.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tinyflow.network.operations import Separable, facts
from tinyflow.network.padding import Padding
from tinyflow.search.norm import BatchNorm

POOLS = ("max", "average")


def uniform(*shape: int, inputs: int) -> nn.Parameter:
    """Weights as torch initialises a convolution in which every output sees ``inputs`` values."""
    return nn.Parameter(torch.empty(shape).uniform_(-(inputs**-0.5), inputs**-0.5))


class ChannelsLast(torch.autograd.Function):
    """x as dense channels-last, and its gradient too: a gradient in another layout costs batch
    norm ten times its time.
    """

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return grad.contiguous(memory_format=torch.channels_last)


def normed(norm: BatchNorm, x: Tensor, padding: Padding | None, scale: Tensor | None = None) -> Tensor:
    return norm(x, None if padding is None else padding.mask(x), scale)


def zeroed(x: Tensor, padding: Padding | None) -> Tensor:
    """x with zeros outside its valid part: what every spatial operation must read."""
    return x if padding is None else padding.zero(x)


def max_pool(x: Tensor, padding: Padding | None, size: int, stride: int) -> Tensor:
    """Max pool over valid positions; 3x3 is centred, 2x2 begins at the first row and column."""
    x = x if padding is None else padding.lowest(x)
    x = F.max_pool2d(x, size, stride, (size - 1) // 2, ceil_mode=size == 2)
    return zeroed(x, padding)


class SeparableConv(nn.Module):
    """One separable part of one operation on ``edges`` edges: depthwise and pointwise convolution as one, batch norm.

    ``depthwise`` is (edges, channels, rows, columns), ``pointwise`` (edges, channels out, channels in).
    """

    def __init__(self, edges: int, channels: int, part: Separable, stride: int = 1):
        super().__init__()
        self.depthwise = uniform(edges, channels, part.rows, part.columns, inputs=part.rows * part.columns)
        if part.pointwise:
            self.pointwise = uniform(edges, channels, channels, inputs=channels)
        else:
            self.register_buffer("pointwise", torch.eye(channels).expand(edges, -1, -1).clone(), persistent=False)
        self.norm = BatchNorm(edges * channels)
        self.stride, self.dilation = stride, part.dilation
        self.margin = ((part.rows - 1) // 2 * part.dilation, (part.columns - 1) // 2 * part.dilation)

    def forward(self, x: Tensor, padding: Padding | None, scale: Tensor | None = None) -> Tensor:
        """x rectified, zero outside its valid part: (N, channels, ..) shared by the edges, or (N, edges * channels,
        ..).
        """
        kernel = (self.pointwise[..., None, None] * self.depthwise[:, None]).flatten(0, 1)
        x = x.contiguous(memory_format=torch.channels_last)
        y = F.conv2d(x, kernel, None, self.stride, self.margin, self.dilation, groups=x.shape[1] // kernel.shape[1])
        return normed(self.norm, y, padding, scale)


class Reduce(nn.Module):
    """Factorised reduce on ``edges`` edges: half of the outputs see the even rows and columns, half the odd ones.

    Both halves as one 2x2 convolution with stride 2 (``weight``: edges, outputs, inputs); an odd size gets one zero
    behind the last row and column, as in the derived network.
    """

    def __init__(self, edges: int, inputs: int, outputs: int):
        super().__init__()
        self.weight = uniform(edges, outputs, inputs, inputs=inputs)
        self.norm = BatchNorm(edges * outputs)
        taps = torch.zeros(outputs, 1, 2, 2)
        taps[: outputs // 2, :, 0, 0] = 1
        taps[outputs // 2 :, :, 1, 1] = 1
        self.register_buffer("taps", taps, persistent=False)

    def forward(self, x: Tensor, padding: Padding | None, scale: Tensor | None = None) -> Tensor:
        """x (N, inputs, H, W) rectified, zero outside its valid part."""
        kernel = (self.weight[..., None, None] * self.taps).flatten(0, 1)
        x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        return normed(self.norm, F.conv2d(x, kernel, stride=2), padding, scale)


class Bundle(nn.Module):
    """The mixed operations of ``edges`` edges that leave one node, on the channels that take part."""

    def __init__(self, primitives: tuple[str, ...], edges: int, channels: int, stride: int):
        super().__init__()
        self.primitives, self.edges, self.channels, self.stride = primitives, edges, channels, stride
        self.known = tuple(None if name == "none" else facts(name) for name in primitives)
        self.convolutions = nn.ModuleDict()
        for known in filter(None, self.known):
            if known.separables:
                strides = (stride,) + (1,) * (len(known.separables) - 1)
                self.convolutions[known.name] = nn.ModuleList(
                    SeparableConv(edges, channels, part, step) for part, step in zip(known.separables, strides)
                )
        if stride == 2:
            for known in filter(None, self.known):
                if known.skip:
                    self.convolutions[known.name] = nn.ModuleList([Reduce(edges, channels, channels)])
        self.pools = BatchNorm(2 * channels)  # max, average
        self.register_buffer("same", torch.eye(channels), persistent=False)

    def forward(self, x: Tensor, weights: Tensor, padding: Padding | None) -> Tensor:
        """x (N, channels, H, W), zero outside its valid part; weights (edges, primitives) -> (N, edges * channels, H',
        W').
        """
        scales = weights.t().repeat_interleave(self.channels, 1)  # (edges * channels,) each
        scale = dict(zip(self.primitives, scales))

        def share(*chosen: bool) -> Tensor | None:
            """Of the operations that are chosen, together."""
            found = [part for part, wanted in zip(scales, chosen, strict=True) if wanted]
            return sum(found[1:], found[0]) if found else None

        average = F.avg_pool2d(x, 3, self.stride, 1, count_include_pad=True)
        pools = torch.cat([max_pool(x, padding, 3, self.stride), average], 1)
        parts = [normed(self.pools, pools, padding)]
        pooled = (share(*(known is not None and known.pool == pool for known in self.known)) for pool in POOLS)
        shares = [torch.zeros_like(scales[0]) if part is None else part for part in pooled]
        passing = share(*(known is not None and known.skip for known in self.known))
        residual = share(*(known is not None and known.residual for known in self.known))
        if self.stride == 1 and not (passing is None and residual is None):
            parts.append(x)
            shares.append(residual if passing is None else passing if residual is None else passing + residual)
        elif self.stride != 1 and residual is not None:
            parts.append(average)
            shares.append(residual)
        kernel = (torch.stack(shares, 1)[..., None] * self.same.repeat(self.edges, 1)[:, None]).flatten(1)[
            ..., None, None
        ]
        shared = torch.cat(parts, 1).contiguous(memory_format=torch.channels_last)
        total = F.conv2d(shared, kernel)  # what the edges share, each with its own weights
        rectified = F.relu(x)
        for name, parts in self.convolutions.items():
            y = rectified
            for part in parts[:-1]:
                y = zeroed(F.relu(part(y, padding)), padding)
            total += parts[-1](y, padding, scale[name])
        return total
