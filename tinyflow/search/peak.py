"""Peak activation memory of the network that a mixture leads to, as a differentiable estimate.

Bytes alive are summed at moments of a schedule like the converter's: in every cell after each state whose edges are
then computed, and at the concatenation. Alive are results that wait for the rest of their node, finished nodes, states
that a skip connection still needs, and what the next cell has computed ahead from its first input. The estimate is the
largest sum. The planner's arena differs: real order, padding copies, fragmentation (docs/cost.md says by how much).
"""

import torch
from torch import Tensor

from tinyflow.network.genotype import NODES, Genotype
from tinyflow.network.operations import skips
from tinyflow.network.shape_graph import STEM_MULTIPLIER
from tinyflow.search.cost_terms import SOURCES, cell_sizes
from tinyflow.search.supernet import EDGES

ORDERED = 0.85  # what the planner's order and work in place keep alive of a typical schedule's peak

# Columns of what the choice of edges decides, for each kind of cell, after each state: results that wait, nodes
# finished, and every state held for a skip.
WAITING, FINISHED, HELD, COLUMNS = 0, SOURCES, 2 * SOURCES, 2 * SOURCES + SOURCES**2


class Peak:
    """Of the derived networks ``networks``, one per front end; ``names`` are the operations."""

    def __init__(self, networks: list[Genotype], names: tuple[str, ...]):
        self.skip = skips(names)
        moments = [_moments(network) for network in networks]
        # (configurations, moments)
        self.fixed = torch.tensor([[fixed for fixed, _ in rows] for rows in moments], dtype=torch.float64)
        # (configurations, moments, 2 * COLUMNS)
        self.costs = torch.stack([torch.stack([costs for _, costs in rows]) for rows in moments])
        self.enters = torch.tensor(
            [[float(node == end) for node, _ in EDGES] for end in range(NODES)], dtype=torch.float64
        )
        self.leaves = torch.tensor(
            [[float(source == start) for _, source in EDGES] for start in range(SOURCES)], dtype=torch.float64
        )
        self.done = torch.tensor(
            [[float(source <= state) for _, source in EDGES] for state in range(SOURCES)], dtype=torch.float64
        )
        self.node = torch.tensor([node for node, _ in EDGES])

    def to(self, device: torch.device) -> None:
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value.to(device))

    def bytes(self, chosen: Tensor) -> Tensor:
        """(configurations,) from the probabilities ``chosen`` (2 * 14, operations)."""
        columns = [self._columns(part, reduces) for part, reduces in zip(chosen.split(len(EDGES)), (False, True))]
        return ORDERED * (self.fixed + self.costs @ torch.cat(columns)).amax(1)

    def _columns(self, chosen: Tensor, reduces: bool) -> Tensor:
        included, skips = chosen.sum(1), chosen[:, self.skip].sum(1)
        if reduces:  # from an input a skip connection is a factorized reduce, a result of its own
            skips = skips * (1 - self.leaves[:2].sum(0))
        results = included - skips
        # (states, nodes): waits for a later state
        unfinished = ((1 - self.done)[:, None, :] * self.enters * included).sum(2).clamp_max(1)
        waiting = ((self.done[:, None, :] * self.enters * results).sum(2) * unfinished).sum(1)
        held = (self.done * skips * unfinished[:, self.node]) @ self.leaves.T  # (after this state, held state)
        return torch.cat([waiting, (1 - unfinished).sum(1), held.clamp_max(1).flatten()])


def _moments(network: Genotype) -> list[tuple[float, Tensor]]:
    """Bytes at each moment: fixed ones, and those per column (2 * COLUMNS,)."""
    cells = cell_sizes(network)
    stem = STEM_MULTIPLIER * network.channels * cells[0].inputs[0] * cells[0].inputs[1]
    nothing = torch.zeros(2 * COLUMNS, dtype=torch.float64)
    moments = [(float(network.frontend.shape[0] * network.frontend.shape[1] + stem), nothing)]
    before, last = 0, stem  # bytes of the two maps that a cell reads; the first cell's are one
    for index, place in enumerate(cells):
        inputs, nodes = (place.channels * size[0] * size[1] for size in (place.inputs, place.nodes))
        base = place.kind * COLUMNS
        if place.after_reduction:  # its first input waits beside a state of the reduction cell
            previous = cells[index - 1]
            moments.append((float(before + previous.channels * previous.inputs[0] * previous.inputs[1]), nothing))
        for state in range(SOURCES):
            costs = nothing.clone()
            costs[base + WAITING + state] += nodes
            costs[base + FINISHED + state] += nodes
            for held in range(state + 1):
                costs[base + HELD + state * SOURCES + held] += inputs if held < 2 else nodes
            fixed = nodes  # a result in the making
            if state < 2:  # the state, and the maps it came from
                fixed += inputs + last + before
            moments.append((float(fixed), costs))
        # the nodes are made where their concatenation wants them
        moments.append((float(NODES * nodes + last), nothing))
        before, last = last, NODES * nodes
    return moments
