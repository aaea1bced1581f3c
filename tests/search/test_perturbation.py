"""Selection by perturbation: on networks whose needs are known, and on a real supernet."""

import numpy as np
import pytest
import torch
from torch import nn

from tinyflow.frontend.mfcc.config import MfccConfig
from tinyflow.network.genotype import NODES
from tinyflow.network.operations import OPERATION_SETS
from tinyflow.search.data import Batch
from tinyflow.search.derive import skip_connections
from tinyflow.search.mixture import DataMixture
from tinyflow.search.perturbation import frontend_scores, select_frontend, select_operations
from tinyflow.search.supernet import EDGES, Mixing, Supernet, beta_softmax

CONFIGS = tuple(MfccConfig(window=640, hop=640, n_mels=20, n_mfcc=n) for n in (6, 8, 10))


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def batch(clips: int = 9, seed: int = 0, configs=CONFIGS) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(clips) % 3
    return Batch(tuple(torch.randn(clips, *config.shape, generator=generator) for config in configs), labels, clips)


class Needs(nn.Module):
    """Its logits are right to the degree that the operations it needs are there: edge by edge,
    each with an importance.
    """

    def __init__(self, operations: str, seed: int):
        super().__init__()
        rng = np.random.default_rng(seed)
        self.count = len(OPERATION_SETS[operations])
        self.wanted = rng.integers(self.count, size=(2, len(EDGES)))
        self.importance = rng.permutation(2 * len(EDGES)).reshape(2, len(EDGES)) + 1.0
        self.alpha = [
            torch.softmax(torch.from_numpy(rng.normal(size=(len(EDGES), self.count + 1))), 1) for _ in range(2)
        ]

    def mixing(self) -> Mixing:
        beta = beta_softmax(torch.zeros(len(EDGES), dtype=torch.float64))
        return Mixing(self.alpha[0], beta, self.alpha[1], beta)

    def forward(self, x, padding, mixing):
        quality = 0.0
        for kind in range(2):
            alpha, beta = mixing[2 * kind], mixing[2 * kind + 1]
            there = alpha[range(len(EDGES)), 1 + self.wanted[kind]]
            quality = quality + (torch.from_numpy(self.importance[kind]) * there * beta).sum()
        return quality * torch.nn.functional.one_hot(torch.arange(len(x)) % 3, 3) / 100


@pytest.mark.parametrize("operations, seed", [("darts", 0), ("mcu", 1)])
def test_what_is_needed_is_kept(operations, seed):
    network = Needs(operations, seed)
    cells = select_operations(network, DataMixture(CONFIGS[:1]), [batch(configs=CONFIGS[:1])], operations, seed=seed)
    for kind, cell in enumerate(cells):
        for node, edges in enumerate(cell):
            entering = [edge for edge, (end, _) in enumerate(EDGES) if end == node]
            needed = sorted(sorted(entering, key=lambda edge: -network.importance[kind, edge])[:2])
            assert [edge.source for edge in edges] == [EDGES[edge][1] for edge in needed]
            assert [edge.operation for edge in edges] == [
                OPERATION_SETS[operations][network.wanted[kind, edge]] for edge in needed
            ]


def test_the_least_needed_skips_give_way_to_the_cap():
    network = Needs("darts", 2)
    network.wanted[:] = OPERATION_SETS["darts"].index("skip_connect")
    mixture, batches = DataMixture(CONFIGS[:1]), [batch(configs=CONFIGS[:1])]
    free, _ = select_operations(network, mixture, batches, "darts")
    capped, reduction = select_operations(network, mixture, batches, "darts", skip_cap=2)
    assert skip_connections(free) == 8 and skip_connections(reduction) == 8
    assert skip_connections(capped) == 2
    importance = {
        (node, edge.source): network.importance[0, EDGES.index((node, edge.source))] / (node + 2)
        for node, edges in enumerate(free)
        for edge in edges
    }
    skips = {
        (node, edge.source) for node, edges in enumerate(capped) for edge in edges if edge.operation == "skip_connect"
    }
    assert skips == set(sorted(importance, key=importance.get)[-2:])
    assert [[edge.source for edge in node] for node in capped] == [[edge.source for edge in node] for node in free]


class Reads(nn.Module):
    """Answers by the strongest of the first three rows."""

    def forward(self, x, padding):
        return x[:, 0, :3].mean(2)


@pytest.mark.parametrize("informative", [0, 1, 2])
def test_the_front_end_that_carries_the_answer_is_kept(informative):
    example = batch(clips=30)
    for row, label in enumerate(example.labels):
        example.features[informative][row, label] += 6
    mixture = DataMixture(CONFIGS, "zero_pad")
    assert select_frontend(Reads(), mixture, [example]) == informative
    scores = frontend_scores(Reads(), mixture, [example])
    assert scores[informative]["alone"][0] == 1.0 and scores[informative]["without"][0] < 0.7
    mixture.collapse(2)
    assert select_frontend(Reads(), mixture, [example]) == 2


def test_a_real_supernet_is_left_as_it_was():
    torch.manual_seed(0)
    supernet, mixture = (
        Supernet(3, channels=8, cells=2, stem_stride=2, operations="mcu"),
        DataMixture(CONFIGS, "preprocess"),
    )
    supernet.eval()
    before = {
        name: value.clone() for name, value in [*supernet.state_dict().items(), *mixture.branches.state_dict().items()]
    }
    tasks = []
    arguments = (supernet, mixture, [batch()], "mcu", 1)
    cells = select_operations(*arguments, progress=lambda task, done, total, note="": tasks.append((done, total)))
    assert tasks == [(done, 28) for done in range(1, 29)]
    assert select_operations(*arguments) == cells, "a function of the supernet, the batches and the seed"
    assert skip_connections(cells[0]) <= 1
    assert all(len({edge.source for edge in node}) == 2 for cell in cells for node in cell) and len(cells[0]) == NODES
    assert 0 <= select_frontend(supernet, mixture, [batch()]) < 3
    after = dict([*supernet.state_dict().items(), *mixture.branches.state_dict().items()])
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not supernet.training and mixture.training
