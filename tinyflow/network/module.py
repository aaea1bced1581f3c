"""The network derived from a genotype: DARTS cells (Liu et al., 2019), or cells of the mcu operations, on the
features of a front end.

Arithmetic is DARTS's; the order of evaluation is chosen for the compiler. Every convolution of a cell reads
max(0, x): that is computed once per tensor, not once per edge, and the cells' outputs are concatenated
already rectified, so that int8 TFLite fuses it into the ADD before. Strides count from the first row and
column (padding is symmetric), so a map of n rows becomes one of ceil(n/2).

``network/build.py`` is the way in: it knows the baseline and padded running too.
"""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tinyflow.network.alignment import Alignment, AlignmentBranch
from tinyflow.network.genotype import Cell as CellGenotype
from tinyflow.network.genotype import Genotype
from tinyflow.network.operations import Separable, facts

STEM_MULTIPLIER = 3  # channels after the stem, in units of C
Kernel = int | tuple[int, int]  # rows (frames) and columns (coefficients)


def convolution(
    inputs: int, outputs: int, kernel: Kernel = 1, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Conv2d:
    sizes = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = ((sizes[0] - 1) // 2 * dilation, (sizes[1] - 1) // 2 * dilation)
    return nn.Conv2d(inputs, outputs, sizes, stride, padding, dilation, groups, bias=False)


def conv_bn(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """1x1 convolution and batch norm."""
    return nn.Sequential(convolution(inputs, outputs, stride=stride), nn.BatchNorm2d(outputs))


def separable(channels: int, part: Separable, stride: int = 1) -> list[nn.Module]:
    """Depthwise, pointwise (if there is one), batch norm."""
    depthwise = convolution(channels, channels, (part.rows, part.columns), stride, part.dilation, groups=channels)
    pointwise = [convolution(channels, channels)] if part.pointwise else []
    return [depthwise, *pointwise, nn.BatchNorm2d(channels)]


class FactorizedReduce(nn.Module):
    """Halves the map: half of the channels look at the even rows and columns, half at the odd ones.

    An odd size gets one zero behind the last row, so that both branches have ceil(n/2) of them. The two batch
    norms are DARTS's single one over the concatenation, written so that each folds into its convolution.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.even = conv_bn(inputs, outputs // 2, stride=2)
        self.odd = conv_bn(inputs, outputs - outputs // 2)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (
            int(size) % 2 for size in x.shape[2:]
        )  # int: a constant for the ONNX export, which traces sizes
        shifted = F.pad(x, (0, columns, 0, rows)) if rows or columns else x
        return torch.cat([self.even(x), self.odd(shifted[:, :, 1::2, 1::2])], dim=1)


def average_pool(stride: int) -> nn.Module:
    return nn.AvgPool2d(3, stride, 1, count_include_pad=True)


class ResidualConv(nn.Module):
    """The source plus its depthwise convolution; at stride 2 the source is average pooled."""

    def __init__(self, channels: int, stride: int, part: Separable):
        super().__init__()
        self.source = average_pool(stride) if stride > 1 else nn.Identity()
        self.convolution = nn.Sequential(*separable(channels, part, stride))

    def forward(self, x: Tensor, rectified: Tensor) -> Tensor:
        summed: Tensor = self.source(x) + self.convolution(rectified)
        return summed


def operation(name: str, channels: int, stride: int) -> nn.Module:
    """The edge operation ``name``. Convolutions read the rectified source (``RECTIFIED``), ResidualConv both."""
    known = facts(name)
    if known.residual:
        return ResidualConv(channels, stride, known.separables[0])
    if known.pool:
        return nn.MaxPool2d(3, stride, 1) if known.pool == "max" else average_pool(stride)
    if known.skip:
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
    layers: list[nn.Module] = []
    for part in known.separables:
        layers += [nn.ReLU()] if layers else []
        layers += separable(channels, part, 1 if layers else stride)
    return nn.Sequential(*layers)


RECTIFIED = (nn.Sequential, FactorizedReduce)  # operations that begin with a ReLU


def drop_path(x: Tensor, probability: float) -> Tensor:
    """Drops the edge for some clips of the batch, scaling the others (Larsson et al., 2017)."""
    keep = 1.0 - probability
    return x * (torch.rand(len(x), 1, 1, 1, device=x.device) < keep).to(x.dtype) / keep


class Cell(nn.Module):
    """Two inputs, four nodes, each the sum of two edges; the output concatenates the nodes (4C channels)."""

    def __init__(
        self, nodes: CellGenotype, before: int, last: int, channels: int, reduces: bool, after_reduction: bool
    ):
        super().__init__()
        self.before = FactorizedReduce(before, channels) if after_reduction else conv_bn(before, channels)
        self.last = conv_bn(last, channels)
        self.sources = [tuple(edge.source for edge in node) for node in nodes]
        self.edges = nn.ModuleList(
            nn.ModuleList(operation(edge.operation, channels, 2 if reduces and edge.source < 2 else 1) for edge in node)
            for node in nodes
        )

    def forward(self, before: Tensor, last: Tensor, drop: float, rectify: bool) -> Tensor:
        """``before`` and ``last`` are rectified; so is the output if ``rectify``."""
        states = [self.before(before), self.last(last)]
        rectified: dict[int, Tensor] = {}

        def positive(source: int) -> Tensor:
            if source not in rectified:
                rectified[source] = F.relu(states[source])
            return rectified[source]

        for edges, sources in zip(cast(Iterable[nn.ModuleList], self.edges), self.sources):
            terms = []
            for edge, source in zip(edges, sources):
                if isinstance(edge, ResidualConv):
                    term = edge(states[source], positive(source))
                else:
                    term = edge(positive(source) if isinstance(edge, RECTIFIED) else states[source])
                if drop and self.training and not isinstance(edge, nn.Identity):
                    term = drop_path(term, drop)
                terms.append(term)
            states.append(terms[0] + terms[1])
        return torch.cat([positive(index) if rectify else states[index] for index in range(2, len(states))], dim=1)


class DerivedNetwork(nn.Module):
    """Features (N, 1, frames, features) to logits (N, classes). Reduction cells double the channels.

    A kept pre-process layer stands before the stem; without one the stem reads the features at their own size.
    """

    def __init__(self, genotype: Genotype):
        super().__init__()
        channels, inputs = genotype.channels, 1
        self.drop_path = 0.0  # set by training
        self.alignment: nn.Module = nn.Identity()
        if genotype.alignment == "preprocess" and genotype.alignment_layer is not None:
            layer = Alignment.from_dict(genotype.alignment_layer)
            self.alignment, inputs = AlignmentBranch(layer), layer.channels
        width = STEM_MULTIPLIER * channels
        self.stem = nn.Sequential(convolution(inputs, width, 3, genotype.stem_stride), nn.BatchNorm2d(width))
        self.cells = nn.ModuleList()
        before, last, after_reduction = width, width, False
        for index in range(genotype.cells):
            reduces = index in genotype.reductions
            channels *= 2 if reduces else 1
            nodes = genotype.reduction if reduces else genotype.normal
            self.cells.append(Cell(nodes, before, last, channels, reduces, after_reduction))
            before, last, after_reduction = last, len(nodes) * channels, reduces
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(last, len(genotype.labels))

    def forward(self, x: Tensor) -> Tensor:
        before = last = F.relu(self.stem(self.alignment(x)))
        for index, cell in enumerate(self.cells):
            before, last = last, cell(before, last, self.drop_path, rectify=index + 1 < len(self.cells))
        logits: Tensor = self.classifier(self.pool(last).flatten(1))
        return logits
