"""The plain PC-DARTS supernet that ours is measured against, and the oracle of its tests. Frozen.

One module per edge and operation, written as the paper says it (Xu et al., 2020): no edge shares work with another,
nothing is fused, batch norm is torch's. It shares no code with tinyflow.search.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NODES = 4
DARTS = (
    "none",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
)
MCU = (
    "none",
    "ds_conv_3x3",
    "ds_conv_5x5",
    "time_conv_9",
    "freq_conv_5",
    "residual_conv_3x3",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
)
PRIMITIVES = {"darts": DARTS, "mcu": MCU}


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, affine=False)


def depthwise(channels: int, kernel: tuple[int, int], stride: int, dilation: int = 1) -> nn.Conv2d:
    padding = tuple((size - 1) // 2 * dilation for size in kernel)
    return nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False)


def pointwise(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, bias=False)


def separable(channels: int, kernel: int, stride: int, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        depthwise(channels, (kernel, kernel), stride, dilation),
        pointwise(channels, channels),
        norm(channels),
    )


class Zero(nn.Module):
    def __init__(self, stride: int):
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :: self.stride, :: self.stride] * 0.0


class FactorizedReduce(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.even, self.odd = pointwise(inputs, outputs // 2), pointwise(inputs, outputs - outputs // 2)
        self.norm = norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        shifted = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))[:, :, 1::2, 1::2]
        return self.norm(torch.cat([self.even(x[:, :, ::2, ::2]), self.odd(shifted)], 1))


class Residual(nn.Module):
    def __init__(self, channels: int, stride: int):
        super().__init__()
        self.branch = nn.Sequential(nn.ReLU(), depthwise(channels, (3, 3), stride), norm(channels))
        self.source = nn.Identity() if stride == 1 else nn.AvgPool2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.source(x) + self.branch(x)


def operation(name: str, channels: int, stride: int) -> nn.Module:
    if name == "none":
        return Zero(stride)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
    if name == "max_pool_3x3":
        return nn.Sequential(nn.MaxPool2d(3, stride, 1), norm(channels))
    if name == "avg_pool_3x3":
        return nn.Sequential(nn.AvgPool2d(3, stride, 1), norm(channels))
    if name == "residual_conv_3x3":
        return Residual(channels, stride)
    if name in ("time_conv_9", "freq_conv_5"):
        kernel = (9, 1) if name == "time_conv_9" else (1, 5)
        return nn.Sequential(nn.ReLU(), depthwise(channels, kernel, stride), norm(channels))
    kind, kernel = name[: name.index("_")], int(name[-1])
    if kind == "sep":
        return nn.Sequential(*separable(channels, kernel, stride), *separable(channels, kernel, 1))
    return separable(channels, kernel, stride, dilation=2 if kind == "dil" else 1)


class Edge(nn.Module):
    """The mixed operation on 1/K of the channels; the others pass by; then the channels are shuffled."""

    def __init__(self, channels: int, stride: int, primitives: tuple[str, ...], partial: int):
        super().__init__()
        self.partial, self.stride = partial, stride
        self.operations = nn.ModuleList(operation(name, channels // partial, stride) for name in primitives)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        part = x.shape[1] // self.partial
        mixed = sum(weight * operation(x[:, :part]) for weight, operation in zip(weights, self.operations))
        rest = x[:, part:] if self.stride == 1 else F.max_pool2d(x[:, part:], 2, 2, ceil_mode=True)
        x = torch.cat([mixed, rest], 1)
        count, channels, *size = x.shape
        return (
            x.view(count, self.partial, channels // self.partial, *size).transpose(1, 2).reshape(count, channels, *size)
        )


class Cell(nn.Module):
    def __init__(
        self,
        before: int,
        last: int,
        channels: int,
        reduces: bool,
        after_reduction: bool,
        primitives: tuple[str, ...],
        partial: int,
    ):
        super().__init__()

        def one(inputs):
            return nn.Sequential(nn.ReLU(), pointwise(inputs, channels), norm(channels))

        self.before = FactorizedReduce(before, channels) if after_reduction else one(before)
        self.last = one(last)
        self.edges = nn.ModuleList(
            Edge(channels, 2 if reduces and source < 2 else 1, primitives, partial)
            for node in range(NODES)
            for source in range(node + 2)
        )

    def forward(self, before: Tensor, last: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        states, edge = [self.before(before), self.last(last)], 0
        for _ in range(NODES):
            terms = []
            for state in states:
                terms.append(beta[edge] * self.edges[edge](state, alpha[edge]))
                edge += 1
            states.append(sum(terms))
        return torch.cat(states[2:], 1)


class PlainSupernet(nn.Module):
    """Features (N, inputs, H, W) to logits. Arguments as tinyflow.search.supernet.Supernet's."""

    def __init__(
        self,
        classes: int,
        inputs: int = 1,
        channels: int = 16,
        cells: int = 8,
        stem_stride: int = 1,
        operations: str = "darts",
        partial: int = 4,
    ):
        super().__init__()
        primitives, width = PRIMITIVES[operations], 3 * channels
        self.stem = nn.Sequential(nn.Conv2d(inputs, width, 3, stem_stride, 1, bias=False), norm(width))
        self.cells, self.reductions = (
            nn.ModuleList(),
            {cells // 3, 2 * cells // 3} if cells >= 3 else set(range(1, cells)),
        )
        before, last, after_reduction = width, width, False
        for index in range(cells):
            reduces = index in self.reductions
            channels *= 2 if reduces else 1
            self.cells.append(Cell(before, last, channels, reduces, after_reduction, primitives, partial))
            before, last, after_reduction = last, NODES * channels, reduces
        self.classifier = nn.Linear(last, classes)
        edges = len(self.cells[0].edges)
        self.alpha_normal, self.alpha_reduction = (
            nn.Parameter(1e-3 * torch.randn(edges, len(primitives))) for _ in range(2)
        )
        self.beta_normal, self.beta_reduction = (nn.Parameter(1e-3 * torch.randn(edges)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        before = last = self.stem(x)
        for index, cell in enumerate(self.cells):
            alpha, beta = (
                (self.alpha_reduction, self.beta_reduction)
                if index in self.reductions
                else (self.alpha_normal, self.beta_normal)
            )
            softmax = torch.cat([F.softmax(part, 0) for part in beta.split(tuple(range(2, NODES + 2)))])
            before, last = last, cell(before, last, F.softmax(alpha, 1), softmax)
        return self.classifier(F.adaptive_avg_pool2d(last, 1).flatten(1))
