"""The supernet proxy: how good the cells and the front end that would be derived now are, with inherited weights."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

from tinyflow.network.genotype import Cell
from tinyflow.search.data import Batch, SearchData
from tinyflow.search.derive import one_hot
from tinyflow.search.mixture import DataAwareSupernet
from tinyflow.search.norm import BatchNorm

RECALIBRATION_CLIPS = 2048


@torch.no_grad()
def supernet_proxy(network: DataAwareSupernet, data: SearchData, normal: Cell, reduction: Cell, frontend: int) -> float:
    """Accuracy on the held-out clips of the supernet with one-hot alpha and gamma, two edges a node, beta renormalised.

    Batch norm is recalibrated on training clips; the network's own statistics are as before afterwards.
    """
    supernet, mixture = network.supernet, network.mixture
    mixing = one_hot(normal, reduction, data.config.operations, mixture.gamma.device, supernet.mixing())
    shares = mixture.one_hot(frontend)

    def forward(batch: Batch) -> torch.Tensor:
        return network(batch.features, mixing, shares)

    with recalibrated(network, forward, data.recalibration(-(-RECALIBRATION_CLIPS // data.config.batch_size))):
        right, total = torch.zeros((), device=mixture.gamma.device), 0
        for batch in data.proxy():
            right += (forward(batch).argmax(1) == batch.labels).sum()
            total += batch.total
    return float(data.world.sum(right)) / total


@contextmanager
def recalibrated(network: torch.nn.Module, forward, batches: Iterable[Batch]) -> Iterator[None]:
    """``network`` in eval mode with batch norm statistics that are the mean over ``batches``; restored at the end."""
    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    kept = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers()]
    training, momenta = network.training, [norm.momentum for norm in norms]
    try:
        network.train()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a cumulative average
        for batch in batches:
            forward(batch)
        network.eval()
        yield
    finally:
        for buffer, value in kept:
            buffer.copy_(value)
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
        network.train(training)
