"""Selection by perturbation (Wang et al., "Rethinking architecture selection in differentiable NAS", ICLR 2021).

The size of alpha, beta or gamma says how gradient descent weighed an operation, not how much the supernet needs it.
Here a choice is kept when *removing* it from the trained supernet hurts validation accuracy most, the loss breaking
ties. As in the paper, what is removed gets weight zero (the others' weights stay as they are), batch norm uses the
statistics of the batch at hand, and edges are visited in random order, each decided in the light of those before it.
Unlike the paper the supernet is not tuned between decisions: cells x 14 edges x 7 operations with tuning would cost
more than the search.

Cost: forward passes over ``batches`` only, for DARTS's operations 2 x 14 x 7 + 2 x 14 = 224 times, and once per
front end, in the precision of the caller's autocast. Processes that share a search sum their counts and so decide
alike.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tinyflow.network.genotype import NODES, Cell, Edge
from tinyflow.network.operations import operations_of, skips
from tinyflow.progress import Progress, silent
from tinyflow.search.supernet import EDGES, Mixing, Supernet
from tinyflow.search.world import current_world

Score = tuple[float, float]  # accuracy, minus the loss: the smaller, the more was lost
TASK = "perturbation"


def select_operations(
    supernet: Supernet,
    mixture,
    batches: Iterable,
    operations: str,
    skip_cap: int | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[Cell, Cell]:
    """The normal and the reduction cell.

    First every edge keeps the operation whose removal hurts most (``none`` is no candidate), then every node the two
    edges whose removal hurts most. With ``skip_cap``, the skip connections of the normal cell that were needed least
    give way to their edges' second choices. ``batches``: validation batches (search/data.py), read once and kept.
    """
    names, order = operations_of(operations), random.Random(seed)
    with _batch_statistics(supernet, mixture):
        inputs = [(*mixture(batch.features), batch.labels) for batch in batches]
        mixing = Mixing(*(part.detach().clone() for part in supernet.mixing()))

        def score() -> Score:
            return _score(inputs, lambda x, padding: supernet(x, padding, mixing=mixing))

        ranking: dict[tuple[int, int], list[int]] = {}  # (kind, edge): operations, the most needed first
        edges = [(kind, edge) for kind in range(2) for edge in range(len(EDGES))]
        order.shuffle(edges)
        for done, (kind, edge) in enumerate(edges):
            alpha = mixing[2 * kind]
            scores = {choice: _without(alpha, (edge, 1 + choice), score) for choice in range(len(names))}
            ranking[kind, edge] = sorted(scores, key=scores.get)
            alpha[edge] = F.one_hot(torch.tensor(1 + ranking[kind, edge][0]), alpha.shape[1]).to(alpha)
            progress(TASK, done + 1, len(edges), f"{names[ranking[kind, edge][0]]} on an edge")

        kept: set[tuple[int, int]] = set()
        nodes = [(kind, node) for kind in range(2) for node in range(NODES)]
        order.shuffle(nodes)
        for kind, node in nodes:
            beta = mixing[2 * kind + 1]
            entering = [edge for edge, (end, _) in enumerate(EDGES) if end == node]
            scores = {edge: _without(beta, edge, score) for edge in entering}
            best = sorted(entering, key=scores.get)[:2]
            kept |= {(kind, edge) for edge in best}
            beta[[edge for edge in entering if edge not in best]] = 0

        passing = skips(names)
        skipping = [edge for kind, edge in sorted(kept) if kind == 0 and ranking[0, edge][0] in passing]
        if skip_cap is not None and len(skipping) > skip_cap:
            scores = {edge: _without(mixing.normal_beta, edge, score) for edge in skipping}
            for edge in sorted(skipping, key=scores.get)[skip_cap:]:
                ranking[0, edge] = [choice for choice in ranking[0, edge] if choice not in passing]

    normal, reduction = (
        tuple(
            tuple(
                Edge(names[ranking[kind, edge][0]], EDGES[edge][1])
                for edge in range(len(EDGES))
                if EDGES[edge][0] == node and (kind, edge) in kept
            )
            for node in range(NODES)
        )
        for kind in range(2)
    )
    return normal, reduction


def select_frontend(supernet: Supernet, mixture, batches: Iterable, progress: Progress = silent) -> int:
    """The configuration whose removal from the mixture hurts most (``frontend_scores``, "without")."""
    if mixture.winner is not None or len(mixture.configs) == 1:
        return mixture.winner or 0
    scores = frontend_scores(supernet, mixture, batches, progress)
    return min(range(len(scores)), key=lambda index: scores[index]["without"])


def frontend_scores(
    supernet: Supernet, mixture, batches: Iterable, progress: Progress = silent
) -> list[dict[str, Any]]:
    """Per configuration {"without": score, "alone": score}, score being (accuracy, -loss) on ``batches``.

    "without": its share of the mixture is zero and the others' are scaled up to sum to one, as the supernet knows no
    other sum. "alone" feeds it by itself to a supernet that has only ever seen mixtures; that measures how much it
    resembles the mixture as much as how good it is, so selection goes by "without", which changes the supernet's input
    least.
    """
    batches, scores = list(batches), []
    with _batch_statistics(supernet, mixture):
        share = mixture.softmax().detach()
        for index in range(len(mixture.configs)):
            alone = mixture.one_hot(index)
            without = share * (1 - alone)
            found = {}
            for name, weights in (("without", without / without.sum()), ("alone", alone)):
                inputs = ((*mixture(batch.features, weights), batch.labels) for batch in batches)
                found[name] = _score(inputs, supernet)
            scores.append(found)
            progress(
                TASK,
                index + 1,
                len(mixture.configs),
                f"{100 * found['without'][0]:.1f} % without {mixture.configs[index].name}",
            )
    return scores


def _without(weights: Tensor, place: Any, score: Callable[[], Score]) -> Score:
    """The score while ``weights[place]`` is zero."""
    before = weights[place].clone()
    weights[place] = 0
    result = score()
    weights[place] = before
    return result


def _score(inputs: Iterable, network: Callable) -> Score:
    """Over the batches of all processes; one look at a value."""
    sums: Tensor | float = 0.0
    for x, padding, labels in inputs:
        logits = network(x, padding)
        loss = F.cross_entropy(logits.float(), labels, reduction="sum")
        sums = (
            sums
            + torch.stack(
                [(logits.argmax(1) == labels).sum(), loss, torch.tensor(len(labels), device=x.device)]
            ).double()
        )
    right, loss, clips = current_world().sum(sums).tolist()
    return right / clips, -loss / clips


@contextmanager
def _batch_statistics(*modules: nn.Module) -> Iterator[None]:
    """Batch norm by the batch at hand, without a trace in its running statistics; no gradients."""
    modes = [module.training for module in modules]
    buffers = [(buffer, buffer.clone()) for module in modules for buffer in module.buffers()]
    try:
        with torch.no_grad():
            for module in modules:
                module.train()
            yield
    finally:
        for module, mode in zip(modules, modes):
            module.train(mode)
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
