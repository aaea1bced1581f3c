"""From a mixture to a genotype's cells (PC-DARTS, Xu et al., 2020), and back: the supernet as those cells alone."""

import torch

from tinyflow.network.genotype import NODES, Cell, Edge
from tinyflow.network.operations import facts, operations_of
from tinyflow.search.supernet import EDGES, Mixing


def skip_connections(cell: Cell) -> int:
    return sum(facts(edge.operation).skip for node in cell for edge in node)


def derive(mixing: Mixing, operations: str, skip_cap: int | None = None) -> tuple[Cell, Cell]:
    """The normal and the reduction cell: per node the two edges of largest beta * max(alpha without ``none``).

    With ``skip_cap``, while the normal cell holds more skip connections, the weakest of them gives way: its operation
    is taken from its edge's choices and the cell is derived anew.
    """
    names = operations_of(operations)
    normal_alpha, normal_beta, reduction_alpha, reduction_beta = (
        part.detach().float().cpu().clone() for part in mixing
    )
    normal, reduction = _cell(normal_alpha, normal_beta, names), _cell(reduction_alpha, reduction_beta, names)
    while skip_cap is not None and skip_connections(normal) > skip_cap:
        kept = [
            (EDGES.index((node, edge.source)), 1 + names.index(edge.operation))
            for node, edges in enumerate(normal)
            for edge in edges
            if facts(edge.operation).skip
        ]
        weakest = min(kept, key=lambda place: float(normal_alpha[place] * normal_beta[place[0]]))
        normal_alpha[weakest] = -1.0
        normal = _cell(normal_alpha, normal_beta, names)
    return normal, reduction


def _cell(alpha: torch.Tensor, beta: torch.Tensor, names: tuple[str, ...]) -> Cell:
    strength, best = alpha[:, 1:].max(1)  # column 0 is none
    strength = (strength * beta).tolist()
    nodes = []
    for node in range(NODES):
        entering = [edge for edge, (end, _) in enumerate(EDGES) if end == node]
        chosen = sorted(sorted(entering, key=lambda edge: -strength[edge])[:2])
        nodes.append(tuple(Edge(names[best[edge]], EDGES[edge][1]) for edge in chosen))
    return tuple(nodes)


def one_hot(
    normal: Cell, reduction: Cell, operations: str, device: torch.device | str = "cpu", beta: Mixing | None = None
) -> Mixing:
    """The mixture in which only these cells speak: alpha one-hot, two edges a node, beta renormalised over the two.

    ``beta``: the mixture whose betas are renormalised; without it both edges weigh 1/2.
    """
    parts = []
    for index, cell in enumerate((normal, reduction)):
        alpha = torch.zeros(len(EDGES), 1 + len(operations_of(operations)))
        share = torch.zeros(len(EDGES))
        alpha[:, 0] = 1
        for node, edges in enumerate(cell):
            rows = [EDGES.index((node, edge.source)) for edge in edges]
            weight = torch.ones(2) if beta is None else beta[2 * index + 1][rows].detach().float().cpu()
            for row, edge, part in zip(rows, edges, weight / weight.sum()):
                alpha[row] = 0
                alpha[row, 1 + operations_of(operations).index(edge.operation)] = 1
                share[row] = part
        parts += [alpha.to(device), share.to(device)]
    return Mixing(*parts)
