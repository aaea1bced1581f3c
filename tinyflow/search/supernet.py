"""The PC-DARTS supernet (Xu et al., 2020): every operation on every edge, mixed by alpha and beta.

Its stack is that of the derived network (train/network.py): stem, L cells, reductions at one and two thirds of the
depth, the same channels, strides and sizes, so a cell means the same in both. Batch norms have no affine part.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tinyflow.errors import TinyflowError
from tinyflow.genotype import NODES, OPERATION_SETS
from tinyflow.search.norm import BatchNorm
from tinyflow.search.operations import Bundle, Reduce, max_pool, normed, uniform, zeroed
from tinyflow.train.network import STEM_MULTIPLIER
from tinyflow.train.padding import Padding

EDGES = tuple((node, source) for node in range(NODES) for source in range(node + 2))
BY_NODE = tuple(range(2, NODES + 2))  # edges that enter each node


class Mixing(NamedTuple):
    """Weights of the mixture: alpha (14, operations), softmaxed per edge; beta (14,), softmaxed per node."""

    normal_alpha: Tensor
    normal_beta: Tensor
    reduction_alpha: Tensor
    reduction_beta: Tensor


def beta_softmax(beta: Tensor) -> Tensor:
    """beta (14,) softmaxed over the edges that enter each node."""
    return torch.cat([F.softmax(part, 0) for part in beta.split(BY_NODE)])


def reduction_cells(cells: int) -> tuple[int, ...]:
    """Indices of the reduction cells; as ``Genotype.reductions``."""
    return tuple(sorted({cells // 3, 2 * cells // 3})) if cells >= 3 else tuple(range(1, cells))


class Pointwise(nn.Module):
    """1x1 convolution of a rectified input, batch norm."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.weight = uniform(outputs, inputs, 1, 1, inputs=inputs)
        self.norm = BatchNorm(outputs)

    def forward(self, x: Tensor, padding: Padding | None) -> Tensor:
        return normed(self.norm, F.conv2d(x, self.weight), padding)


class Cell(nn.Module):
    """Two inputs, four nodes, an edge from every earlier node; the output concatenates the nodes (4C channels)."""

    def __init__(self, primitives: tuple[str, ...], before: int, last: int, channels: int, partial: int, reduces: bool, after_reduction: bool):
        super().__init__()
        self.before = Reduce(1, before, channels) if after_reduction else Pointwise(before, channels)
        self.last = Pointwise(last, channels)
        self.part, self.partial, self.reduces = channels // partial, partial, reduces
        self.leaving = [[edge for edge, (_, start) in enumerate(EDGES) if start == source] for source in range(NODES + 1)]
        strides = [2 if reduces and source < 2 else 1 for source in range(NODES + 1)]
        self.bundles = nn.ModuleList(Bundle(primitives, len(edges), self.part, stride) for edges, stride in zip(self.leaving, strides))

    def forward(self, before: Tensor, last: Tensor, alpha: Tensor, beta: Tensor, padding: Padding | None) -> Tensor:
        weights = alpha * beta[:, None]
        mixed: list[Tensor] = [None] * len(EDGES)  # (N, C/K, H, W) per edge
        bypass: list[Tensor] = []  # (N, C - C/K, H, W) per source

        def leave(source: int, state: Tensor) -> None:
            part = state[:, : self.part]
            result = self.bundles[source](part, F.relu(part), weights[self.leaving[source]], padding)
            for edge, share in zip(self.leaving[source], result.chunk(len(self.leaving[source]), 1)):
                mixed[edge] = share
            rest = state[:, self.part :]
            bypass.append(max_pool(rest, padding, 2, 2) if self.reduces and source < 2 else rest)

        leave(0, zeroed(self.before(F.relu(before), padding), padding))
        leave(1, zeroed(self.last(F.relu(last), padding), padding))
        nodes = []
        for node in range(NODES):
            edges = [edge for edge, (end, _) in enumerate(EDGES) if end == node]
            state = torch.cat([sum(mixed[edge] for edge in edges), sum(beta[edge] * rest for edge, rest in zip(edges, bypass))], 1)
            state = zeroed(F.channel_shuffle(state, self.partial), padding)
            nodes.append(state)
            if node + 1 < NODES:
                leave(node + 2, state)
        return torch.cat(nodes, 1)


class Supernet(nn.Module):
    """Features (N, inputs, H, W) to logits (N, classes).

    ``partial`` is K: 1/K of the channels go through the mixed operations. Alphas are (14, operations), ``none`` first;
    betas (14,); both per edge in the order of EDGES. TinyflowError if K does not divide C.
    """

    def __init__(self, classes: int, inputs: int = 1, channels: int = 16, cells: int = 8, stem_stride: int = 1, operations: str = "darts", partial: int = 4):
        super().__init__()
        if operations not in OPERATION_SETS:
            raise TinyflowError(f"unknown operation set {operations!r}", f"one of {', '.join(OPERATION_SETS)}")
        if channels % partial or channels < 2 * partial:
            raise TinyflowError(f"{channels} channels cannot be split into {partial} parts", f"a multiple of {partial}, at least {2 * partial}")
        self.primitives = ("none", *OPERATION_SETS[operations])
        self.reductions = reduction_cells(cells)
        width = STEM_MULTIPLIER * channels
        self.stem = nn.Conv2d(inputs, width, 3, stem_stride, 1, bias=False)
        self.stem_norm = BatchNorm(width)
        self.cells = nn.ModuleList()
        before, last, after_reduction = width, width, False
        for index in range(cells):
            reduces = index in self.reductions
            channels *= 2 if reduces else 1
            self.cells.append(Cell(self.primitives, before, last, channels, partial, reduces, after_reduction))
            before, last, after_reduction = last, NODES * channels, reduces
        self.classifier = nn.Linear(last, classes)
        for kind in ("normal", "reduction"):
            self.register_parameter(f"alpha_{kind}", nn.Parameter(1e-3 * torch.randn(len(EDGES), len(self.primitives))))
            self.register_parameter(f"beta_{kind}", nn.Parameter(1e-3 * torch.randn(len(EDGES))))

    def architecture(self) -> list[nn.Parameter]:
        return [self.alpha_normal, self.alpha_reduction, self.beta_normal, self.beta_reduction]

    def weights(self) -> list[nn.Parameter]:
        """All parameters but alpha and beta."""
        apart = {id(parameter) for parameter in self.architecture()}
        return [parameter for parameter in self.parameters() if id(parameter) not in apart]

    def mixing(self) -> Mixing:
        return Mixing(
            F.softmax(self.alpha_normal, 1), beta_softmax(self.beta_normal), F.softmax(self.alpha_reduction, 1), beta_softmax(self.beta_reduction)
        )

    def forward(self, x: Tensor, padding: Padding | None = None, mixing: Mixing | None = None) -> Tensor:
        """With ``padding``, the logits of the valid part alone. ``mixing`` replaces the supernet's own alpha and beta."""
        mixing = self.mixing() if mixing is None else mixing
        x = self.stem(zeroed(x, padding).contiguous(memory_format=torch.channels_last))
        before = last = zeroed(normed(self.stem_norm, x, padding), padding)
        for index, cell in enumerate(self.cells):
            alpha, beta = mixing[2:] if index in self.reductions else mixing[:2]
            before, last = last, cell(before, last, alpha, beta, padding)
        pooled = last.mean((2, 3)) if padding is None else padding.mean(last)
        return self.classifier(pooled)
