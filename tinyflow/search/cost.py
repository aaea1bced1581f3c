"""What the network that a mixture leads to will cost, in expectation: instructions, parameters, peak activation memory.

Derivation keeps two edges a node and one operation an edge, never ``none``. So an edge counts with the probability
``inclusion``, an operation on it with its share of alpha without ``none``. All costs are of the *derived* network: its
channels, cells, stem stride and map sizes, weighted by softmax(gamma) with the front end's own instructions.

For one-hot mixtures these are the costs of that genotype: parameters exactly, instructions to a few per cent (what the
compiler decides over the whole network, such as copies between layouts, is left out), memory to the tolerance that
docs/cost.md states.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from tinyflow.board import Board
from tinyflow.cost import footprint as image
from tinyflow.cost import instructions
from tinyflow.frontend.protocol import FrontEnd
from tinyflow.network.alignment import alignments
from tinyflow.network.genotype import NODES, Cell, Edge, Genotype
from tinyflow.network.operations import operations_of
from tinyflow.network.shape_graph import count_parameters, shape_graph
from tinyflow.recipe import Search
from tinyflow.search.cost_terms import Events, cell_costs
from tinyflow.search.peak import Peak
from tinyflow.search.supernet import EDGES, Mixing

BY_NODE = tuple(range(2, NODES + 2))  # edges that enter each node
TINY = 1e-12


class Expected(NamedTuple):
    """Expected costs, 0-d float32 with gradients to alpha, beta and gamma."""

    instructions: Tensor  # per second of audio: one inference and the front end; estimated by the table
    parameters: Tensor  # before folding
    memory: Tensor  # bytes of activations alive at once


class Resources:
    """Expected costs of a search over ``configs`` for ``classes``, and how far they exceed ``board`` (None: no budget).

    Tensors of costs are made once, here; a step multiplies them.
    """

    def __init__(self, config: Search, configs: tuple[FrontEnd, ...], classes: int, board: Board | None):
        names = operations_of(config.operations)
        self.config, self.board = config, board
        networks = [_reference(config, configs, index, classes) for index in range(len(configs))]
        costs = [cell_costs(network, names) for network in networks]
        self.events = Events(costs, len(names))
        self.prices = torch.tensor([self.events.row(cost.instructions) for cost in costs], dtype=torch.float64)
        self.parameter_prices = torch.tensor(self.events.row(costs[0].parameters), dtype=torch.float64)
        self.peak = Peak(networks, names)
        self.peak_bytes = torch.zeros(())
        # What all networks have: the reference's own cost without what its cells bring.
        chosen = torch.zeros(2 * len(EDGES), len(names), dtype=torch.float64)
        for edge, (_, source) in enumerate(EDGES * 2):
            if source < 2:
                chosen[edge, names.index(REFERENCE[config.operations])] = 1
        happened = self.events.probabilities(chosen)
        whole = [
            instructions.network_instructions(shape_graph(network, ordered=False))
            + instructions.frontend_instructions(network.frontend)
            for network in networks
        ]
        self.fixed = torch.tensor(whole, dtype=torch.float64) - self.prices @ happened
        self.fixed_parameters = count_parameters(networks[0]) - float(self.parameter_prices @ happened)
        self.budgets = image.budgets(board, configs) if board else None

    def expected(self, mixing: Mixing, gamma: Tensor) -> Expected:
        """Of ``mixing`` and softmax(gamma) (configurations,)."""
        self._to(gamma.device)
        gamma = gamma.double()
        chosen = torch.cat(
            [
                choices(mixing.normal_alpha.double(), mixing.normal_beta.double()),
                choices(mixing.reduction_alpha.double(), mixing.reduction_beta.double()),
            ]
        )
        happened = self.events.probabilities(chosen)
        return Expected(
            (gamma @ (self.fixed + self.prices @ happened)).float(),
            (self.fixed_parameters + self.parameter_prices @ happened).float(),
            (gamma @ self.peak.bytes(chosen)).float(),
        )

    def penalty(self, expected: Expected, epoch: int) -> Tensor:
        """resource_weight, raised from 0 over the epochs after the warm-up, times the sum of log(expected / budget)
        over the budgets that are exceeded; 0-d. A budget of 0 is not checked.
        """
        done = (epoch + 1 - self.config.warmup_epochs) / max(self.config.resource_anneal_epochs, 1)
        weight = self.config.resource_weight * min(max(done, 0.0), 1.0)
        if self.budgets is None:
            return torch.zeros_like(expected.instructions)
        excess = [torch.log(used / budget).clamp_min(0) for used, budget in zip(expected, self.budgets) if budget]
        return weight * torch.stack([torch.zeros_like(expected.instructions), *excess]).sum()

    def _to(self, device: torch.device) -> None:
        if self.fixed.device != device:
            self.events.to(device)
            self.peak.to(device)
            self.fixed, self.prices, self.parameter_prices = (
                part.to(device) for part in (self.fixed, self.prices, self.parameter_prices)
            )


def choices(alpha: Tensor, beta: Tensor) -> Tensor:
    """Probability (14, operations without none) that derivation puts the operation on the edge."""
    real = 1 - alpha[:, 0]
    return (inclusion(beta * real) / real.clamp_min(TINY))[:, None] * alpha[:, 1:]


def inclusion(strength: Tensor) -> Tensor:
    """Probability (14,) that derivation keeps each edge; two a node in all.

    Twice the share of ``strength`` (14,) among the edges that enter its node. Where that is more than 1, the edge is
    kept for certain, and the others share the second place.
    """
    parts = []
    for part in strength.split(BY_NODE):
        share = part / part.sum().clamp_min(TINY)
        largest = share.amax()
        top = torch.arange(len(share), device=share.device) == share.argmax()
        rest = (share / (1 - largest).clamp_min(TINY)).clamp_max(1)
        parts.append(torch.where(largest <= 0.5, 2 * share, torch.where(top, torch.ones_like(share), rest)))
    return torch.cat(parts)


REFERENCE = {"darts": "sep_conv_3x3", "mcu": "ds_conv_3x3"}  # shares nothing between edges


def _reference(config: Search, configs: tuple[FrontEnd, ...], index: int, classes: int) -> Genotype:
    """The derived network of front end ``index`` with the plainest cells: both edges of every node from the inputs."""
    cell: Cell = ((Edge(REFERENCE[config.operations], 0), Edge(REFERENCE[config.operations], 1)),) * NODES
    several = len(configs) > 1
    layer = (
        alignments(configs, config.alignment_channels)[index].to_dict()
        if several and config.alignment == "preprocess" and config.keep_alignment
        else None
    )
    return Genotype(
        "search",
        tuple(f"class {number}" for number in range(classes)),
        configs[index],
        cell,
        cell,
        config.derived_channels or config.channels,
        config.derived_cells or config.cells,
        config.stem_stride,
        config.alignment if several else "native",
        layer,
    )
