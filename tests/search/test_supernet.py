"""The supernet: equal to the plain one, value and gradient; blind to padding; its stack is the derived network's."""

import pytest
import torch
from plain_supernet import pairs, plain_of
from torch.nn import functional as F

from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import TABLE_1
from tinyflow.network.operations import OPERATION_SETS
from tinyflow.network.padding import Padding, pad_to
from tinyflow.search.supernet import EDGES, Cell, Mixing, Supernet, reduction_cells

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def supernet(seed: int = 0, **arguments) -> Supernet:
    """A supernet whose alpha and beta prefer something."""
    torch.manual_seed(seed)
    network = Supernet(5, **arguments)
    with torch.no_grad():
        for parameter in network.architecture():
            parameter.normal_()
    return network


@pytest.mark.parametrize("operations", OPERATION_SETS)
@pytest.mark.parametrize(
    "inputs, channels, cells, stem_stride, partial, size",
    ((1, 8, 4, 1, 4, (13, 11)), (2, 8, 2, 2, 2, (16, 9)), (1, 4, 1, 1, 1, (6, 7))),
)
def test_equals_the_plain_supernet(operations, inputs, channels, cells, stem_stride, partial, size):
    """Values, and gradients of every weight, alpha and beta."""
    arguments = dict(
        inputs=inputs, channels=channels, cells=cells, stem_stride=stem_stride, operations=operations, partial=partial
    )
    ours = supernet(**arguments)
    plain = plain_of(ours, 5, **arguments)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in plain.parameters())
    x, labels = torch.randn(6, inputs, *size), torch.randint(5, (6,))
    results = [network(x) for network in (ours, plain)]
    torch.testing.assert_close(*results, atol=1e-4, rtol=1e-4)
    for logits in results:
        F.cross_entropy(logits, labels).backward()
    seen = 0
    for parameter, expected, index in pairs(ours, plain):
        if ours.reductions or expected.grad is not None:
            torch.testing.assert_close(
                parameter.grad[index].reshape(expected.shape), expected.grad, atol=1e-4, rtol=1e-4
            )
        seen += expected.numel()
    assert seen == sum(p.numel() for p in plain.parameters())
    assert all(
        parameter.grad.abs().sum() > 0
        for parameter in (ours.architecture() if ours.reductions else [ours.alpha_normal])
    )
    torch.testing.assert_close(ours.eval()(x), plain.eval()(x), atol=1e-4, rtol=1e-4)  # running statistics too


@pytest.mark.parametrize("training", (False, True))
@pytest.mark.parametrize("operations", OPERATION_SETS)
def test_zero_padding_chips_away(operations, training):
    """At the size of the largest front end, the logits of the features' own size: for every size of Table 1."""
    sizes = sorted({(config.frames(), config.n_mfcc) for config in TABLE_1})
    full = tuple(map(max, zip(*sizes)))
    ours = supernet(channels=8, cells=3, stem_stride=2, operations=operations)
    x = torch.randn(4, 1, *full)
    ours(x)  # statistics other than 0 and 1
    ours.train(training)
    for size in sizes:
        valid = x[:, :, : size[0], : size[1]]
        with torch.no_grad():
            expected = ours(valid)
            torch.testing.assert_close(ours(pad_to(valid, full), Padding(full, size)), expected, atol=1e-5, rtol=1e-5)


def test_padding_has_the_same_gradients():
    ours = supernet(channels=8, cells=2, stem_stride=1)
    x, labels, full = torch.randn(4, 1, 11, 9), torch.randint(5, (4,)), (14, 12)
    gradients = []
    for features, padding in ((x, None), (pad_to(x, full), Padding(full, (11, 9)))):
        loss = F.cross_entropy(ours(features, padding), labels)
        gradients.append(torch.autograd.grad(loss, list(ours.parameters())))
    for padded, own in zip(gradients[1], gradients[0]):
        torch.testing.assert_close(padded, own, atol=1e-4, rtol=1e-4)


def test_mixing_replaces_alpha_and_beta():
    ours = supernet(channels=8, cells=3, stem_stride=2)
    x = torch.randn(2, 1, 20, 20)
    ours.eval()
    torch.testing.assert_close(ours(x, mixing=ours.mixing()), ours(x))
    mixing = ours.mixing()
    other = Mixing(torch.full_like(mixing.normal_alpha, 1 / 8), *mixing[1:])
    assert (ours(x, mixing=other) - ours(x)).abs().max() > 1e-4


def test_mixing_is_normalised_per_edge_and_per_node():
    normal_alpha, normal_beta, reduction_alpha, reduction_beta = supernet(channels=8, cells=3).mixing()
    for alpha in (normal_alpha, reduction_alpha):
        torch.testing.assert_close(alpha.sum(1), torch.ones(14))
    for beta in (normal_beta, reduction_beta):
        for node in range(4):
            assert sum(float(beta[edge]) for edge, (end, _) in enumerate(EDGES) if end == node) == pytest.approx(1)


def test_parameters_are_parted():
    ours = supernet(channels=8, cells=3)
    assert len(ours.architecture()) + len(ours.weights()) == len(list(ours.parameters()))
    assert not {id(p) for p in ours.architecture()} & {id(p) for p in ours.weights()}


def test_stack_is_the_derived_networks():
    from tone_dataset import every_operation  # a genotype

    from tinyflow.network.module import DerivedNetwork

    genotype = every_operation(("a", "b"))
    assert reduction_cells(genotype.cells) == genotype.reductions and [reduction_cells(n) for n in (1, 2, 3, 8)] == [
        (),
        (1,),
        (1, 2),
        (2, 5),
    ]
    derived = DerivedNetwork(genotype)
    ours = Supernet(
        len(genotype.labels), channels=max(8, genotype.channels), cells=genotype.cells, stem_stride=genotype.stem_stride
    )
    shapes: dict[str, list] = {"ours": [], "derived": []}
    for name, network in (("ours", ours), ("derived", derived)):
        for cell in network.cells:
            cell.register_forward_hook(
                lambda module, _, output, name=name: shapes[name].append(tuple(output.shape[2:]))
            )
        network(torch.randn(2, 1, 49, 43))
    assert shapes["ours"] == shapes["derived"]


def test_bfloat16_is_close():
    ours = supernet(channels=8, cells=2, stem_stride=2)
    x = torch.randn(4, 1, 20, 20)
    expected = ours(x).detach()
    for features, padding in ((x, None), (pad_to(x, (24, 24)), Padding((24, 24), (20, 20)))):
        with torch.autocast("cpu", torch.bfloat16):
            logits = ours(features, padding).float()
        assert (logits - expected).abs().max() < 0.1 * expected.abs().max() + 0.02
        gradients = torch.autograd.grad(logits.square().sum(), list(ours.parameters()))
        assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_a_step_never_waits_for_the_device():
    """On the meta device there are no values: a look at one would raise."""
    ours = supernet(channels=8, cells=3, stem_stride=2).to("meta")
    x = torch.empty(4, 1, 20, 20, device="meta")
    ours(x).sum().backward()
    ours(x, Padding((20, 20), (17, 19))).sum().backward()
    assert all(p.grad is not None for p in ours.parameters())


@pytest.mark.slow
def test_compiles_without_a_graph_break():
    """aot_eager: the whole trace of torch.compile without the minutes of code generation. One reduction cell."""
    ours = supernet(channels=8, cells=1, stem_stride=2)
    ours.reductions = (0,)
    ours.cells[0] = Cell(ours.primitives, 24, 24, 8, 4, reduces=True, after_reduction=False)
    x, results, gradients = torch.randn(4, 1, 12, 12), [], []
    for network in (ours, torch.compile(ours, backend="aot_eager", fullgraph=True)):
        results.append(network(x))
        gradients.append(
            torch.autograd.grad(
                results[-1].square().sum(),
                [p for p in ours.parameters() if p is not ours.alpha_normal and p is not ours.beta_normal],
            )
        )
    torch.testing.assert_close(*results)
    for compiled, eager in zip(*gradients):
        torch.testing.assert_close(compiled, eager, atol=1e-5, rtol=1e-4)


def test_it_says_what_cannot_be():
    with pytest.raises(TinyflowError, match="6 channels"):
        Supernet(5, channels=6)
    with pytest.raises(TinyflowError, match="operation set"):
        Supernet(5, operations="dart")
