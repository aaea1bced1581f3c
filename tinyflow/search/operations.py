"""The mixed operation of PC-DARTS (Xu et al., 2020), for all edges of a cell that leave one node together.

Edges that leave the same node read the same tensor. So pools, whose batch norm has no weights of its own, and the
identity are computed once for all; and a depthwise and a pointwise convolution without anything between them *are*
one dense convolution with few channels, which for all edges is one call (a dense kernel is far faster on these few
channels than a depthwise one). The weights stay those of the separable convolutions: only their product is formed.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tinyflow.network.padding import Padding
from tinyflow.search.norm import BatchNorm


@dataclass(frozen=True)
class Stage:
    """ReLU, a depthwise convolution, a pointwise one (or none), batch norm."""

    rows: int
    columns: int
    dilation: int = 1
    pointwise: bool = True


STAGES: dict[str, tuple[Stage, ...]] = {
    "sep_conv_3x3": (Stage(3, 3), Stage(3, 3)),
    "sep_conv_5x5": (Stage(5, 5), Stage(5, 5)),
    "dil_conv_3x3": (Stage(3, 3, dilation=2),),
    "dil_conv_5x5": (Stage(5, 5, dilation=2),),
    "ds_conv_3x3": (Stage(3, 3),),
    "ds_conv_5x5": (Stage(5, 5),),
    "time_conv_9": (Stage(9, 1, pointwise=False),),
    "freq_conv_5": (Stage(1, 5, pointwise=False),),
    "residual_conv_3x3": (Stage(3, 3, pointwise=False),),
}


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


class Separable(nn.Module):
    """One stage of one operation on ``edges`` edges: depthwise and pointwise convolution as one, batch norm.

    ``depthwise`` is (edges, channels, rows, columns), ``pointwise`` (edges, channels out, channels in).
    """

    def __init__(self, edges: int, channels: int, stage: Stage, stride: int = 1):
        super().__init__()
        self.depthwise = uniform(edges, channels, stage.rows, stage.columns, inputs=stage.rows * stage.columns)
        if stage.pointwise:
            self.pointwise = uniform(edges, channels, channels, inputs=channels)
        else:
            self.register_buffer("pointwise", torch.eye(channels).expand(edges, -1, -1).clone(), persistent=False)
        self.norm = BatchNorm(edges * channels)
        self.stride, self.dilation = stride, stage.dilation
        self.margin = ((stage.rows - 1) // 2 * stage.dilation, (stage.columns - 1) // 2 * stage.dilation)

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
        self.convolutions = nn.ModuleDict()
        for name in primitives:
            if name in STAGES:
                strides = (stride,) + (1,) * (len(STAGES[name]) - 1)
                self.convolutions[name] = nn.ModuleList(
                    Separable(edges, channels, stage, step) for stage, step in zip(STAGES[name], strides)
                )
        if stride == 2:
            self.convolutions["skip_connect"] = nn.ModuleList([Reduce(edges, channels, channels)])
        self.pools = BatchNorm(2 * channels)  # max, average
        self.register_buffer("same", torch.eye(channels), persistent=False)

    def forward(self, x: Tensor, weights: Tensor, padding: Padding | None) -> Tensor:
        """x (N, channels, H, W), zero outside its valid part; weights (edges, primitives) -> (N, edges * channels, H',
        W').
        """
        scale = dict(zip(self.primitives, weights.t().repeat_interleave(self.channels, 1)))  # (edges * channels,) each
        average = F.avg_pool2d(x, 3, self.stride, 1, count_include_pad=True)
        pools = torch.cat([max_pool(x, padding, 3, self.stride), average], 1)
        parts = [normed(self.pools, pools, padding)]
        shares = [scale["max_pool_3x3"], scale["avg_pool_3x3"]]
        residual = scale.get("residual_conv_3x3")
        if self.stride == 1:
            parts.append(x)
            shares.append(scale["skip_connect"] if residual is None else scale["skip_connect"] + residual)
        elif residual is not None:
            parts.append(average)
            shares.append(residual)
        kernel = (torch.stack(shares, 1)[..., None] * self.same.repeat(self.edges, 1)[:, None]).flatten(1)[
            ..., None, None
        ]
        shared = torch.cat(parts, 1).contiguous(memory_format=torch.channels_last)
        total = F.conv2d(shared, kernel)  # what the edges share, each with its own weights
        rectified = F.relu(x)
        for name, stages in self.convolutions.items():
            y = rectified
            for stage in stages[:-1]:
                y = zeroed(F.relu(stage(y, padding)), padding)
            total += stages[-1](y, padding, scale[name])
        return total
