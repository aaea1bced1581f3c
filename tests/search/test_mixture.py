"""The data mixture: formula of section 3.1, both alignments, the stop rule and what follows it."""

import pytest
import torch

from tinyflow.frontend.mfcc.config import TABLE_1
from tinyflow.frontend.registry import front_end_named
from tinyflow.network.padding import pad_to
from tinyflow.search.mixture import DataAwareSupernet, DataMixture
from tinyflow.search.supernet import Supernet

CONFIGS = tuple(front_end_named(name) for name in ("640/320/40/mfcc10", "640/320/40/mfcc7", "400/200/40/mfcc10"))


def features(configs=CONFIGS, clips: int = 4) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    return tuple(torch.randn(clips, *config.shape) for config in configs)


def with_gamma(alignment: str, gamma=(0.3, -0.2, 0.1), channels: int = 1) -> DataMixture:
    torch.manual_seed(0)
    mixture = DataMixture(CONFIGS, alignment, channels)
    mixture.gamma.data.copy_(torch.tensor(gamma))
    return mixture


@pytest.mark.parametrize("alignment", ["preprocess", "zero_pad"])
def test_it_is_the_softmax_weighted_sum_of_aligned_features(alignment):
    mixture, inputs = with_gamma(alignment).eval(), features()
    shares = torch.exp(mixture.gamma) / torch.exp(mixture.gamma).sum()
    x, padding = mixture(inputs)
    if alignment == "zero_pad":
        aligned = [pad_to(value.unsqueeze(1), (79, 10)) for value in inputs]
    else:
        aligned = [branch(value.unsqueeze(1)) for branch, value in zip(mixture.branches, inputs)]
        assert x.shape == (4, 1, 49, 7)
    assert padding is None and torch.allclose(x, sum(share * value for share, value in zip(shares, aligned)), atol=1e-6)


def test_every_size_of_table_1_is_aligned():
    for alignment, size in (("preprocess", (49, 40)), ("zero_pad", (157, 80))):
        x, padding = DataMixture(TABLE_1, alignment, 1)(features(TABLE_1, 2))
        assert x.shape == (2, 1, *size) and padding is None


def test_gamma_starts_even_and_feels_the_loss():
    mixture = DataMixture(CONFIGS, "preprocess", 2)
    assert torch.allclose(mixture.softmax(), torch.full((3,), 1 / 3)) and mixture.channels == 2 and not mixture.stopped
    x, _ = mixture(features())
    (x * torch.randn_like(x)).sum().backward()
    assert x.shape == (4, 2, 49, 7) and (mixture.gamma.grad != 0).all() and abs(float(mixture.gamma.grad.sum())) < 1e-4


def test_with_zero_padding_one_configuration_alone_is_valid_in_its_own_size():
    mixture, inputs = with_gamma("zero_pad"), features()
    x, padding = mixture(inputs, mixture.one_hot(1))
    assert torch.equal(x, pad_to(inputs[1].unsqueeze(1), (79, 10))) and padding.valid(x) == (49, 7)
    assert torch.equal(mixture((None, inputs[1], None), mixture.one_hot(1))[0], x)  # the others need not exist
    assert mixture(inputs, torch.tensor([0.5, 0.5, 0.0]))[1] is None


def test_the_stop_rule_and_what_follows():
    gap = torch.tensor(2.0).log().item()
    for mode in (False, True):
        mixture = with_gamma("zero_pad", (gap - 1e-3, 0.0, -1.0))
        assert not mixture.settle(2.0, mode) and not mixture.stopped and mixture.ratio() == pytest.approx(2, abs=0.01)
        mixture.gamma.data[0] = gap + 1e-3
        assert mixture.settle(2.0, mode) and mixture.stopped and not mixture.settle(2.0, mode)
        x, padding = mixture(features())
        if mode:
            assert mixture.winner == 0 and mixture.softmax().tolist() == [1, 0, 0] and padding.valid(x) == (49, 10)
            assert torch.equal(x, mixture((features()[0], None, None))[0])
        else:
            assert (
                mixture.winner is None
                and padding is None
                and torch.equal(mixture.softmax(), torch.softmax(mixture.gamma, 0))
            )
        again = DataMixture(CONFIGS, "zero_pad", 1)  # the freeze travels with the state
        again.load_state_dict(mixture.state_dict())
        assert (again.stopped, again.winner) == (mixture.stopped, mixture.winner)


def test_a_single_configuration_is_aligned_natively():
    mixture = DataMixture(CONFIGS[:1], "preprocess", 3)
    x, padding = mixture(features(CONFIGS[:1]))
    assert torch.equal(x[:, 0], features(CONFIGS[:1])[0]) and padding is None
    assert mixture.alignment == "native" and mixture.channels == 1 and mixture.stopped and not mixture.weights()


def test_what_training_and_what_validation_teach():
    torch.manual_seed(0)
    network = DataAwareSupernet(with_gamma("preprocess"), Supernet(3, channels=8, cells=2, stem_stride=2))
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    taught = {names[id(parameter)] for parameter in network.weights()}
    chosen = {names[id(parameter)] for parameter in network.chosen()}
    assert chosen == {"mixture.gamma"} | {
        f"supernet.{kind}_{cell}" for kind in ("alpha", "beta") for cell in ("normal", "reduction")
    }
    assert taught | chosen == set(names.values()) and not taught & chosen and any("branches" in name for name in taught)
    network.mixture.stopped = True
    assert "mixture.gamma" not in {names[id(parameter)] for parameter in network.chosen()}  # eq. 2
    assert network(features()).shape == (4, 3)
