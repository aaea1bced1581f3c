"""Expected costs of a mixture against the exact costs of genotypes."""

import random
from dataclasses import replace

import pytest
import torch

from tinyflow.board import load_board
from tinyflow.compile.plan import plan_memory
from tinyflow.cost import instructions
from tinyflow.frontend.mfcc.config import TABLE_1
from tinyflow.network.alignment import alignments
from tinyflow.network.genotype import Genotype
from tinyflow.network.operations import OPERATION_SETS
from tinyflow.network.shape_graph import count_parameters, shape_graph
from tinyflow.recipe import Search
from tinyflow.search.cost import Expected, Resources, choices, inclusion
from tinyflow.search.derive import derive, one_hot
from tinyflow.search.random_genotype import random_cell
from tinyflow.search.supernet import EDGES, Mixing

CONFIGS = TABLE_1[4:]
SPACES = {
    "darts": Search(channels=8, cells=4, stem_stride=2),
    "darts, native size": Search(channels=8, cells=3, keep_alignment=False),
    "darts, derived": Search(
        channels=16, cells=8, derived_channels=8, derived_cells=5, stem_stride=2, alignment="zero_pad"
    ),
    "mcu": Search(operations="mcu", channels=12, cells=3, stem_stride=2, alignment_channels=2),
    "mcu, zero_pad": Search(operations="mcu", channels=8, cells=2, alignment="zero_pad"),
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def genotype_of(config: Search, normal, reduction, index: int, classes: int = 12) -> Genotype:
    layer = (
        alignments(CONFIGS, config.alignment_channels)[index].to_dict()
        if config.alignment == "preprocess" and config.keep_alignment
        else None
    )
    channels, cells = config.derived_channels or config.channels, config.derived_cells or config.cells
    return Genotype(
        "x",
        tuple(map(str, range(classes))),
        CONFIGS[index],
        normal,
        reduction,
        channels,
        cells,
        config.stem_stride,
        config.alignment,
        layer,
    )


def mixing_of(config: Search, seed: int = 0, sharpness: float = 1.0) -> tuple[Mixing, list[torch.Tensor]]:
    """A softmaxed mixture of random alpha and beta, and those."""
    generator = torch.Generator().manual_seed(seed)
    leaves = []
    for shape in ((len(EDGES), 1 + len(OPERATION_SETS[config.operations])), (len(EDGES),)) * 2:
        leaves.append((sharpness * torch.randn(shape, generator=generator)).requires_grad_())
    parts = [
        torch.softmax(leaf, 1)
        if leaf.dim() == 2
        else torch.cat([torch.softmax(part, 0) for part in leaf.split((2, 3, 4, 5))])
        for leaf in leaves
    ]
    return Mixing(*parts), leaves


@pytest.mark.parametrize("space", SPACES)
def test_one_hot_mixtures_cost_what_their_genotype_costs(space):
    config, rng = SPACES[space], random.Random(3)
    resources = Resources(config, CONFIGS, 12, None)
    for index in (0, 1, 2, 3, 1, 2):
        normal, reduction = (random_cell(rng, config.operations) for _ in range(2))
        genotype = genotype_of(config, normal, reduction, index)
        found = resources.expected(one_hot(normal, reduction, config.operations), torch.eye(len(CONFIGS))[index])
        graph = shape_graph(genotype)
        exact = instructions.network_instructions(graph) + instructions.frontend_instructions(CONFIGS[index])
        assert float(found.instructions) == pytest.approx(exact, rel=0.06), (
            "what the compiler decides over the whole network is left out"
        )
        assert float(found.parameters) == count_parameters(genotype)
        assert 0.75 < float(found.memory) / plan_memory(graph).arena_bytes < 1.75, (
            "the tolerance that docs/cost.md states"
        )


def test_a_sharp_mixture_costs_what_derivation_gives():
    config = SPACES["darts"]
    mixing, _ = mixing_of(config, seed=1)
    normal, reduction = derive(mixing, config.operations)
    hot = one_hot(normal, reduction, config.operations)
    resources, gamma = Resources(config, CONFIGS, 12, None), torch.eye(4)[0]
    near = Mixing(*(0.999 * part + 0.001 * other for part, other in zip(hot, mixing)))
    assert float(resources.expected(near, gamma).instructions) == pytest.approx(
        float(resources.expected(hot, gamma).instructions), rel=0.01
    )


def test_inclusion_is_two_edges_a_node():
    strength = torch.rand(14, generator=torch.Generator().manual_seed(0)) ** 4
    kept = inclusion(strength)
    assert torch.allclose(torch.stack([part.sum() for part in kept.split((2, 3, 4, 5))]), torch.full((4,), 2.0))
    assert (kept >= 0).all() and (kept <= 1).all()
    assert torch.equal(
        inclusion(torch.tensor([0.5, 0.5] + [0.0, 0.5, 0.5] + [0.5, 0, 0, 0.5] + [0, 0, 0.5, 0, 0.5])),
        torch.tensor([1.0, 1, 0, 1, 1, 1, 0, 0, 1, 0, 0, 1, 0, 1]),
    )
    peaked = inclusion(torch.tensor([0.5, 0.5, 0.8, 0.15, 0.05] + [0.25] * 4 + [0.2] * 5))[2:5]
    assert torch.allclose(peaked, torch.tensor([1.0, 0.75, 0.25]))


def test_none_does_not_make_a_network_cheaper():
    """Derivation excludes it: more of it on all edges alike changes nothing."""
    mixing, _ = mixing_of(SPACES["darts"])
    less = choices(mixing.normal_alpha, mixing.normal_beta)
    alpha = mixing.normal_alpha.detach().clone()
    alpha[:, 1:] *= 0.1 / alpha[:, 1:].sum(1, keepdim=True)
    alpha[:, 0] = 0.9
    real = 1 - mixing.normal_alpha[:, 0]
    assert torch.allclose(choices(alpha, mixing.normal_beta * real), less, atol=1e-5)


@pytest.mark.parametrize("space", ["darts", "mcu, zero_pad"])
def test_gradients_reach_alpha_beta_and_gamma(space):
    config = SPACES[space]
    resources = Resources(config, CONFIGS, 12, load_board("nucleo-l4r5zi"))
    for name in Expected._fields:
        mixing, leaves = mixing_of(config)
        gamma = torch.zeros(len(CONFIGS), requires_grad=True)
        getattr(resources.expected(mixing, torch.softmax(gamma, 0)), name).backward()
        assert all(leaf.grad.isfinite().all() for leaf in leaves)
        assert any(leaf.grad.abs().sum() > 0 for leaf in leaves)
        if name == "instructions":
            assert all(leaf.grad.abs().sum() > 0 for leaf in leaves) and gamma.grad.abs().sum() > 0
            expensive = {"darts": "sep_conv_5x5", "mcu": "ds_conv_5x5"}[config.operations]
            column, skip = (
                1 + OPERATION_SETS[config.operations].index(expensive),
                1 + OPERATION_SETS[config.operations].index("skip_connect"),
            )
            assert (leaves[0].grad[:, column] > leaves[0].grad[:, skip]).all(), (
                "descent moves from the costly operation to the free one"
            )


def test_denser_front_ends_cost_more():
    config = SPACES["darts, native size"]
    resources, (mixing, _) = Resources(config, CONFIGS, 12, None), mixing_of(config)
    costs = [float(resources.expected(mixing, row).instructions) for row in torch.eye(4)]
    sizes = [config.frames() * config.n_mfcc for config in CONFIGS]
    # 97 x 40 and 49 x 80 are alike
    denser = [(less, more) for less in range(4) for more in range(4) if sizes[more] > 1.5 * sizes[less]]
    assert len(denser) == 5 and all(costs[less] < costs[more] for less, more in denser)
    even = float(resources.expected(mixing, torch.full((4,), 0.25)).instructions)
    assert even == pytest.approx(sum(costs) / 4, rel=1e-6)


def test_penalty_grows_after_the_warm_up_and_beyond_the_budget():
    config = replace(SPACES["darts"], resource_weight=0.5, warmup_epochs=2, resource_anneal_epochs=4, epochs=10)
    board = replace(load_board("nucleo-l4r5zi"), instruction_budget=1_000_000)
    resources, (mixing, _) = Resources(config, CONFIGS, 12, board), mixing_of(config)
    found = resources.expected(mixing, torch.full((4,), 0.25))
    assert [float(resources.penalty(found, epoch)) for epoch in (0, 1)] == [0, 0]
    full = 0.5 * float(torch.log(found.instructions / 1e6))
    assert [float(resources.penalty(found, epoch)) for epoch in (2, 3, 5, 9)] == pytest.approx(
        [full / 4, full / 2, full, full]
    )
    roomy = replace(board, instruction_budget=10**12)
    assert float(Resources(config, CONFIGS, 12, roomy).penalty(found, 9)) == 0
    assert float(Resources(config, CONFIGS, 12, replace(board, instruction_budget=0)).penalty(found, 9)) == 0, (
        "0: not checked"
    )
    assert float(Resources(config, CONFIGS, 12, load_board("host")).penalty(found, 9)) == 0
    assert float(Resources(config, CONFIGS, 12, None).penalty(found, 9)) == 0
    small = Resources(
        config,
        CONFIGS,
        12,
        replace(board, instruction_budget=0, memory=tuple(replace(region, length=20_000) for region in board.memory)),
    )
    assert float(small.penalty(found, 9)) > 0.5, "RAM and flash count too"
