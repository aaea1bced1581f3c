"""Derivation against brute force, the skip cap, and the supernet as the derived cells alone."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from tinyflow.network.operations import OPERATION_SETS
from tinyflow.search.derive import derive, one_hot, skip_connections
from tinyflow.search.supernet import EDGES, Mixing, Supernet, beta_softmax


def random_mixing(operations: str, seed: int, scale: float = 1.0) -> Mixing:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return scale * torch.randn(shape, generator=generator)

    choices = 1 + len(OPERATION_SETS[operations])
    return Mixing(
        F.softmax(draw(14, choices), 1), beta_softmax(draw(14)), F.softmax(draw(14, choices), 1), beta_softmax(draw(14))
    )


def best_cell(alpha: torch.Tensor, beta: torch.Tensor, names: tuple[str, ...], cap: int | None = None):
    """Of all cells with distinct sources, each edge with its best operation: the strongest pair of every node."""
    cell = []
    for node in range(4):

        def strength(pair):
            return sum(
                float(alpha[EDGES.index((node, source)), 1:].max() * beta[EDGES.index((node, source))])
                for source in pair
            )

        pair = max(itertools.combinations(range(node + 2), 2), key=strength)
        cell.append(tuple((names[int(alpha[EDGES.index((node, source)), 1:].argmax())], source) for source in pair))
    return tuple(cell)


@pytest.mark.parametrize("operations", OPERATION_SETS)
@pytest.mark.parametrize("seed", range(8))
def test_derivation_is_brute_forces(operations, seed):
    mixing, names = random_mixing(operations, seed), OPERATION_SETS[operations]
    for cell, alpha, beta in zip(derive(mixing, operations), mixing[::2], mixing[1::2]):
        assert tuple(tuple((edge.operation, edge.source) for edge in node) for node in cell) == best_cell(
            alpha, beta, names
        )


def test_none_is_never_chosen_even_where_it_is_strongest():
    mixing = random_mixing("darts", 0)
    alpha = mixing.normal_alpha * 0.1
    alpha[:, 0] = 0.9
    chosen = derive(mixing._replace(normal_alpha=alpha), "darts")
    assert chosen == derive(mixing, "darts")  # its size is nothing to the others


@pytest.mark.parametrize("cap", (0, 1, 2, 3))
def test_skip_cap_takes_the_weakest_skips(cap):
    mixing = random_mixing("darts", 3)
    alpha = mixing.normal_alpha.clone()
    skip = 1 + OPERATION_SETS["darts"].index("skip_connect")
    alpha[:, skip] = 0.5 + torch.arange(14) / 100  # skips everywhere, the later the stronger
    mixing = mixing._replace(normal_alpha=alpha, normal_beta=beta_softmax(torch.zeros(14)), reduction_alpha=alpha)
    free, capped = derive(mixing, "darts"), derive(mixing, "darts", cap)
    assert skip_connections(free[0]) == 8 and skip_connections(capped[0]) == cap
    assert capped[1] == free[1] and skip_connections(capped[1]) == 8  # the reduction cell has no cap
    kept = {
        (node, edge.source)
        for node, edges in enumerate(capped[0])
        for edge in edges
        if edge.operation == "skip_connect"
    }
    assert kept <= {(node, edge.source) for node, edges in enumerate(free[0]) for edge in edges}
    if cap == 2:  # beta is 1/2 for the first node: its two skips are the strongest
        assert kept == {(0, 0), (0, 1)}
    assert derive(mixing, "darts", 8) == free
    assert torch.equal(alpha, mixing.normal_alpha)  # the mixture is left alone


@pytest.mark.parametrize("operations", OPERATION_SETS)
def test_one_hot_and_derive_are_inverse(operations):
    for seed in range(4):
        mixing = random_mixing(operations, seed)
        normal, reduction = derive(mixing, operations)
        alone = one_hot(normal, reduction, operations, beta=mixing)
        assert derive(alone, operations) == (normal, reduction)
        for alpha, beta, full in zip(alone[::2], alone[1::2], mixing[1::2]):
            torch.testing.assert_close(alpha.sum(1), torch.ones(14))
            assert int((beta > 0).sum()) == 8 and float(beta.sum()) == pytest.approx(4)
            for node in range(4):  # renormalised: the ratio of the two is that of the mixture
                first, second = [edge for edge, (end, _) in enumerate(EDGES) if end == node and beta[edge] > 0]
                assert float(beta[first] / beta[second]) == pytest.approx(float(full[first] / full[second]), rel=1e-4)
    halves = one_hot(normal, reduction, operations).normal_beta
    assert set(halves.tolist()) == {0.0, 0.5}


def test_in_the_one_hot_supernet_only_the_derived_cells_speak():
    """Weights of every other operation and edge have no influence; those chosen have."""
    torch.manual_seed(0)
    network = Supernet(3, channels=8, cells=2, stem_stride=2).eval()
    normal, reduction = derive(random_mixing("darts", 1), "darts")
    mixing, x = one_hot(normal, reduction, "darts", beta=network.mixing()), torch.randn(4, 1, 20, 20)
    network(x, mixing=mixing).square().sum().backward()
    spoken = set()
    for index, (cell, chosen) in enumerate(zip(network.cells, (normal, reduction))):
        expected = {(node, edge.source, edge.operation) for node, edges in enumerate(chosen) for edge in edges}
        for source, bundle in enumerate(cell.bundles):
            nodes = [node for node, start in EDGES if start == source]
            for name, stages in bundle.convolutions.items():
                for parameter in stages.parameters():
                    for node, grad in zip(nodes, parameter.grad):
                        if grad.any():
                            assert (node, source, name) in expected
                            spoken.add((index, node, source, name))
    assert spoken
