"""The PC-DARTS supernet (Xu et al., 2020): every operation on every edge, mixed by alpha and beta.

Its stack is that of the derived network (network/module.py): stem, L cells, reductions at one and two thirds of the
depth, the same channels, strides and sizes, so a cell means the same in both. Batch norms have no affine part.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tinyflow.errors import TinyflowError
from tinyflow.network.genotype import NODES
from tinyflow.network.module import STEM_MULTIPLIER
from tinyflow.network.operations import operations_of
from tinyflow.network.padding import Padding
from tinyflow.search.norm import BatchNorm
from tinyflow.search.operations import Bundle, ChannelsLast, Reduce, max_pool, normed, uniform, zeroed

EDGES = tuple((node, source) for node in range(NODES) for source in range(node + 2))
ENTERING = [node + 2 for node in range(NODES)]  # edges into each node; they are neighbours
LEAVING = [[edge for edge, (_, start) in enumerate(EDGES) if start == source] for source in range(NODES + 1)]


class Mixing(NamedTuple):
    """Weights of the mixture: alpha (14, operations), softmaxed per edge; beta (14,), softmaxed per node."""

    normal_alpha: Tensor
    normal_beta: Tensor
    reduction_alpha: Tensor
    reduction_beta: Tensor


def beta_softmax(beta: Tensor) -> Tensor:
    """beta (14,) softmaxed over the edges that enter each node."""
    return torch.cat([F.softmax(part, 0) for part in beta.split(ENTERING)])


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


class WeightedSum(torch.autograd.Function):
    """sum_i weights[i] * tensors[i], dense tensors of one shape: one pass over each, and for a weight's gradient one
    dot product.
    """

    @staticmethod
    def forward(ctx, weights: Tensor, *tensors: Tensor) -> Tensor:
        weights = weights.to(tensors[0].dtype)
        ctx.save_for_backward(weights, *tensors)
        total = tensors[0] * weights[0]
        for weight, tensor in zip(weights[1:], tensors[1:]):
            total.addcmul_(tensor, weight)
        return total

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        weights, *tensors = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        flat = grad.permute(0, 2, 3, 1).reshape(-1)
        dots = torch.stack([torch.dot(flat, tensor.permute(0, 2, 3, 1).reshape(-1)) for tensor in tensors])
        return dots, *(grad * weight for weight in weights)


def weighted_sum(weights: Tensor, tensors: list[Tensor]) -> Tensor:
    if (
        torch.compiler.is_compiling()
    ):  # a compiler fuses this by itself, and torch 2.11 traces WeightedSum's gradient wrongly
        return sum(weight * tensor for weight, tensor in zip(weights.unbind(), tensors))
    return WeightedSum.apply(weights, *tensors)


class Cell(nn.Module):
    """Two inputs, four nodes, an edge from every earlier node; the output concatenates the nodes (4C channels)."""

    def __init__(
        self,
        primitives: tuple[str, ...],
        before: int,
        last: int,
        channels: int,
        partial: int,
        reduces: bool,
        after_reduction: bool,
    ):
        super().__init__()
        self.before = Reduce(1, before, channels) if after_reduction else Pointwise(before, channels)
        self.last = Pointwise(last, channels)
        self.part, self.partial, self.reduces = channels // partial, partial, reduces
        strides = [2 if reduces and source < 2 else 1 for source in range(len(LEAVING))]
        self.bundles = nn.ModuleList(
            Bundle(primitives, len(edges), self.part, stride) for edges, stride in zip(LEAVING, strides)
        )

    def forward(
        self,
        before: Tensor,
        last: Tensor,
        weights: tuple[Tensor, ...],
        beta: tuple[Tensor, ...],
        padding: Padding | None,
    ) -> Tensor:
        """``before`` and ``last`` are rectified, the output is not. alpha * beta by source, beta by node."""
        states = [zeroed(self.before(before, padding), padding), zeroed(self.last(last, padding), padding)]
        mixed, passing = None, []  # sums for the nodes to come, (N, nodes * C/K, H, W); per source (N, C - C/K, H, W)
        for source in range(NODES + 1):
            part, rest = states[source].split((self.part, states[source].shape[1] - self.part), 1)
            if self.reduces and source < 2:
                rest = max_pool(rest, padding, 2, 2)
            passing.append(ChannelsLast.apply(rest))
            leaving = self.bundles[source](ChannelsLast.apply(part), weights[source], padding)
            mixed = ChannelsLast.apply(leaving if mixed is None else mixed + leaving)
            if source > 0:  # all edges into the next node have spoken
                node = source - 1
                done, mixed = mixed.split((self.part, mixed.shape[1] - self.part), 1)
                bypass = weighted_sum(beta[node], passing)
                states.append(zeroed(self.shuffled(done, bypass), padding))
        return torch.cat(states[2:], 1)

    def shuffled(self, mixed: Tensor, bypass: Tensor) -> Tensor:
        """Both together (N, C, H, W) with shuffled channels, so that others take part next; keeps channels-last."""
        groups = bypass.permute(0, 2, 3, 1).unflatten(3, (self.partial - 1, self.part)).transpose(3, 4)
        return torch.cat([mixed.permute(0, 2, 3, 1)[..., None], groups], 4).flatten(3).permute(0, 3, 1, 2)


class Supernet(nn.Module):
    """Features (N, inputs, H, W) to logits (N, classes).

    ``partial`` is K: 1/K of the channels go through the mixed operations. Alphas are (14, operations), ``none`` first;
    betas (14,); both per edge in the order of EDGES. TinyflowError if K does not divide C.
    """

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
        if channels % partial or channels < 2 * partial:
            raise TinyflowError(
                f"{channels} channels cannot be split into {partial} parts",
                f"a multiple of {partial}, at least {2 * partial}",
            )
        self.primitives = ("none", *operations_of(operations))
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
        self.register_buffer("by_source", torch.tensor(sum(LEAVING, [])), persistent=False)
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
            F.softmax(self.alpha_normal, 1),
            beta_softmax(self.beta_normal),
            F.softmax(self.alpha_reduction, 1),
            beta_softmax(self.beta_reduction),
        )

    def forward(self, x: Tensor, padding: Padding | None = None, mixing: Mixing | None = None) -> Tensor:
        """With ``padding``, the logits of the valid part alone. ``mixing`` replaces the supernet's
        own alpha and beta.
        """
        mixing = self.mixing() if mixing is None else mixing
        shares = {}  # whether the cell reduces -> alpha * beta by the edges' source, beta by their node
        for reduces, (alpha, beta) in ((False, mixing[:2]), (True, mixing[2:])):
            weights = (alpha * beta[:, None]).index_select(0, self.by_source)
            shares[reduces] = weights.split([len(edges) for edges in LEAVING]), beta.split(ENTERING)
        x = self.stem(zeroed(x, padding).contiguous(memory_format=torch.channels_last))
        x = zeroed(normed(self.stem_norm, x, padding), padding)
        before = last = F.relu(x)
        for index, cell in enumerate(self.cells):
            x = cell(before, last, *shares[index in self.reductions], padding)
            before, last = last, F.relu(x)
        pooled = x.mean((2, 3)) if padding is None else padding.mean(x)
        return self.classifier(pooled)
