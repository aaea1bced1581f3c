"""The search: its steps, that it resumes bit for bit, the data stop, the proxy, and what it says
when things go wrong.
"""

import os
import signal
from dataclasses import replace

import pytest
import torch
from tone_dataset import tone_dataset

from tinyflow.board import load_board
from tinyflow.errors import TinyflowError
from tinyflow.frontend.registry import front_end_named
from tinyflow.network.build import build_network
from tinyflow.network.genotype import read_genotype
from tinyflow.recipe import Search
from tinyflow.search import load_search, search_network
from tinyflow.search.artefact import NOT_DATA_AWARE
from tinyflow.search.cost import Resources
from tinyflow.search.data import SearchData
from tinyflow.search.mixture import DataAwareSupernet, DataMixture
from tinyflow.search.outcome import data_choice, describe, skips_dominate
from tinyflow.search.proxy import supernet_proxy
from tinyflow.search.searching import _warn_of_skips
from tinyflow.search.steps import Meter, Steps, beta_decay
from tinyflow.search.supernet import Supernet
from tinyflow.train.resume import CHECKPOINT

FRONTENDS = ("640/320/40/mfcc10", "640/320/40/mfcc8", "400/200/40/mfcc10")
CONFIG = Search(
    frontends=FRONTENDS,
    channels=8,
    cells=2,
    stem_stride=2,
    epochs=3,
    warmup_epochs=1,
    batch_size=16,
    arch_learning_rate=0.02,
    gamma_learning_rate=0.1,
    gamma_stop_ratio=1.05,
    device="cpu",
)


pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tone_dataset(tmp_path_factory.mktemp("tones") / "data", training=16, held_out=8)


def interrupt_at(step: int):
    """A Progress that presses Ctrl-C once ``step`` steps are done."""

    def progress(task: str, done: int, total: int, note: str = "") -> None:
        if task == "search" and total and done == step:
            os.kill(os.getpid(), signal.SIGINT)

    return progress


def parts(config: Search, classes: int = 4) -> tuple[DataAwareSupernet, Steps]:
    torch.manual_seed(0)
    mixture = DataMixture(tuple(map(front_end_named, config.frontends)), config.alignment)
    network = DataAwareSupernet(mixture, Supernet(classes, channels=8, cells=2, stem_stride=2))
    return network, Steps(network, config)


def values(network, parameters) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in parameters]


def changed(before, parameters) -> list[bool]:
    return [not torch.equal(old, new) for old, new in zip(before, parameters)]


@pytest.mark.parametrize("mode, alignment", [("paper", "preprocess"), ("collapse", "zero_pad")])
def test_a_resumed_search_gives_the_same_result(dataset, tmp_path, mode, alignment):
    config = replace(CONFIG, gamma_mode=mode, alignment=alignment)
    whole = search_network(dataset, config, tmp_path / "whole")
    stop = whole.history["data_stop"]
    assert stop == 2 and whole.data_choice == "chosen"
    steps = whole.history["epochs"][0]["clips"] // 16
    for step in (1, steps, steps + 2, stop * steps + 1):  # mid warm-up, at its end, mid search, behind the data stop
        with pytest.raises(TinyflowError, match="the search was interrupted") as error:
            search_network(dataset, config, tmp_path / "parts", interrupt_at(step))
        assert "resumes" in error.value.hint and not (tmp_path / "parts" / "genotype.json").exists()
        torch.manual_seed(99)  # what else happens in the process must not matter
    resumed = search_network(dataset, config, tmp_path / "parts")
    assert resumed.genotype == whole.genotype and resumed.data_choice == whole.data_choice

    def but_time(result):
        epochs = [{key: value for key, value in item.items() if key != "seconds"} for item in result.history["epochs"]]
        return {**result.history, "epochs": epochs, "seconds": None}

    assert but_time(resumed) == but_time(whole)
    states = [torch.load(tmp_path / name / CHECKPOINT, weights_only=True) for name in ("whole", "parts")]
    for key in ("network", "sgd", "adam", "random"):
        assert_same(states[0][key], states[1][key], key)


def assert_same(one, other, where: str) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for index, pair in enumerate(zip(one, other)):
            assert_same(*pair, f"{where}[{index}]")
    else:
        assert one == other, where


def test_what_a_search_hands_on(dataset, tmp_path):
    notes = []
    result = search_network(
        dataset,
        replace(CONFIG, derived_channels=4, derived_cells=3),
        tmp_path,
        lambda *arguments: notes.append(arguments),
    )
    again = load_search(tmp_path)
    genotype, epochs = result.genotype, result.history["epochs"]
    assert again.genotype == genotype == read_genotype(tmp_path / "genotype.json") and again.history["epochs"] == epochs
    assert (genotype.channels, genotype.cells, genotype.stem_stride, genotype.labels) == (4, 3, 2, dataset.labels)
    assert (
        genotype.alignment == "preprocess"
        and genotype.alignment_layer["size"] == [49, 8]
        and genotype.frontend.name in FRONTENDS
    )
    assert genotype.frontend.name == max(genotype.provenance["gamma"], key=genotype.provenance["gamma"].get)
    assert build_network(genotype)(torch.randn(2, 1, *genotype.frontend.shape)).shape == (2, 4)
    assert (
        [item["epoch"] for item in epochs] == [1, 2, 3]
        and epochs[0]["architecture_loss"] is None
        and epochs[1]["architecture_loss"] > 0
    )
    for item in epochs:
        assert (
            sum(item["gamma"]) == pytest.approx(1)
            and len(item["alpha_normal"]) == 14
            and 0 <= item["proxy_accuracy"] <= 1
        )
    assert epochs[0]["gamma"] == [pytest.approx(1 / 3)] * 3 and epochs[0]["entropy_gamma"] == pytest.approx(1)
    # frozen behind the stop
    assert result.history["data_stop"] == 2 and epochs[2]["gamma"] == epochs[1]["gamma"] != epochs[0]["gamma"]
    assert all(
        (tmp_path / f"{name}.png").stat().st_size > 1000
        for name in ("normal", "reduction", "gamma", "alpha", "history")
    )
    assert notes[-1][1] == notes[-1][2] > 0 and ", gamma " in notes[-1][3] and (tmp_path / CHECKPOINT).is_file()


def test_without_a_choice_of_data(dataset, tmp_path):
    result = search_network(dataset, replace(CONFIG, frontends=FRONTENDS[:1], epochs=2), tmp_path)
    assert (
        result.data_choice == NOT_DATA_AWARE
        and result.genotype.alignment == "native"
        and result.genotype.alignment_layer is None
    )
    assert (
        result.genotype.frontend.name == FRONTENDS[0] and not (tmp_path / "gamma.png").exists() and not result.warnings
    )
    assert result.history["epochs"][-1]["entropy_gamma"] is None


def test_a_flat_gamma_is_said_to_be_no_choice(dataset, tmp_path):
    notes = []
    result = search_network(
        dataset,
        replace(CONFIG, epochs=2, gamma_stop_ratio=2.0, gamma_learning_rate=1e-5),
        tmp_path,
        lambda *arguments: notes.append(arguments),
    )
    assert result.data_choice.startswith("not met: no data choice was made") and result.history["data_stop"] is None
    assert any("gamma did not choose" in warning for warning in result.warnings) and any(
        "warning: gamma" in note[3] for note in notes
    )
    assert result.genotype.provenance["data_choice"] == result.data_choice


def test_skips_that_dominate_are_seen():
    network, _ = parts(CONFIG)
    operations = network.supernet.primitives
    skip = operations.index("skip_connect")
    assert (
        skips_dominate(describe(network, CONFIG), operations) is None
        or describe(network, CONFIG)["skip_connections"]["normal"] > 4
    )
    with torch.no_grad():
        network.supernet.alpha_normal.zero_()[:, skip] = 0.5
    state = describe(network, CONFIG)
    assert state["skip_connections"]["normal"] == 8 and "8 of 8 edges" in skips_dominate(state, operations)
    with torch.no_grad():
        network.supernet.alpha_normal[:, skip] = -1
    assert skips_dominate(describe(network, CONFIG), operations) is None


def test_the_warning_of_skips_comes_once():
    network, _ = parts(CONFIG)
    operations, said = network.supernet.primitives, []
    with torch.no_grad():
        network.supernet.alpha_normal.zero_()[:, operations.index("skip_connect")] = -0.5
        few = describe(network, CONFIG)
        network.supernet.alpha_normal[:, operations.index("skip_connect")] = 0.5
        many = describe(network, CONFIG)
    for epochs in ([], [many], [few], [few, many], [few, many, many], [few, many, few]):
        notes = []
        _warn_of_skips(epochs, operations, lambda *arguments: notes.append(arguments[3]))
        said.append(len(notes))
    assert said == [0, 1, 0, 1, 0, 0]


def test_what_each_step_moves(dataset):
    config = replace(CONFIG, weight_decay=0.0)
    data = SearchData(dataset, tuple(map(front_end_named, FRONTENDS)), config, "cpu")
    network, steps = parts(config)
    weights, chosen = network.weights(), network.chosen()
    for step, moved, kept in (
        (lambda: steps.train_weights(data.training(0, 0), 0.0), weights, chosen),
        (lambda: steps.train_architecture(data.validation(0), 1), chosen, weights),
    ):
        first, second = values(network, moved), values(network, kept)
        assert torch.isfinite(step())
        assert all(changed(first, moved)) and not any(changed(second, kept))
    network.mixture.stopped = True  # eq. 2: gamma is frozen, whatever momentum Adam has
    gamma = network.mixture.gamma.detach().clone()
    steps.train_architecture(data.validation(1), 1)
    assert torch.equal(gamma, network.mixture.gamma)


def test_the_weights_follow_a_cosine_to_zero():
    steps = parts(replace(CONFIG, learning_rate=0.1, epochs=50))[1]
    assert [steps.learning_rate(epoch) for epoch in (0, 25, 50)] == pytest.approx([0.1, 0.05, 0.0])


def test_beta_decay_holds_back_what_leads(dataset):
    """Its gradient is softmax(alpha) / edges, and it alone, strong enough, makes alphas fall and draw together."""
    network, _ = parts(CONFIG)
    alpha = network.supernet.alpha_normal
    with torch.no_grad():
        alpha[:, 1] = 1.0
    beta_decay(network.supernet).backward()
    assert torch.allclose(alpha.grad, torch.softmax(alpha, 1) / 14, atol=1e-7)
    data = SearchData(dataset, tuple(map(front_end_named, FRONTENDS)), CONFIG, "cpu")
    spread = []
    for weight in (0.0, 100.0):
        network, steps = parts(replace(CONFIG, beta_decay=weight))
        for step in range(4):
            steps.train_architecture(data.validation(step), 3)
        spread.append(float(network.supernet.alpha_normal.std(1).mean()))
    assert spread[1] < 0.5 * spread[0]


def test_the_proxy_is_the_chosen_cells_alone_and_leaves_no_trace(dataset):
    data = SearchData(dataset, tuple(map(front_end_named, FRONTENDS)), CONFIG, "cpu")
    network, steps = parts(CONFIG)
    for step in range(8):
        steps.train_weights(data.training(step // 4, step % 4), 0.0)
    from tinyflow.search.derive import derive

    cells = derive(network.supernet.mixing(), "darts")
    before = {name: value.clone() for name, value in network.state_dict().items() if isinstance(value, torch.Tensor)}
    momenta = {module.momentum for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)}
    first = supernet_proxy(network, data, *cells, 0)
    assert network.training and all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())
    assert {module.momentum for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)} == momenta
    with torch.no_grad():  # alpha and gamma have no part in it; beta only by its share on the edges that are kept
        network.supernet.alpha_normal.normal_()
        network.mixture.gamma.normal_()
    assert supernet_proxy(network, data, *cells, 0) == first and first >= 1 / 8


def test_a_loss_that_is_not_finite_stops_at_once(dataset, tmp_path):
    with pytest.raises(
        TinyflowError,
        match=(
            r"weights' loss is not finite in epoch 1, step \d of 3 .learning rates: weights \d.\d+e\+29, alpha and beta"
            r" 0.02, gamma 0.1"
        ),
    ) as error:
        search_network(dataset, replace(CONFIG, learning_rate=1e30, gradient_clip=0), tmp_path)
    assert "learning_rate" in error.value.hint and not (tmp_path / CHECKPOINT).exists()


def test_the_meter_remembers_the_first_bad_step():
    meter = Meter(torch.device("cpu"))
    for step, loss in enumerate((1.0, 3.0)):
        meter.add(0, torch.tensor(loss), 10, step)
    meter.add(1, torch.tensor(2.0), 5, 1)
    steps = parts(CONFIG)[1]
    meter.check(steps, 0, 9)
    assert meter.means() == (2.0, 2.0, 20) and Meter(torch.device("cpu"), meter.values()).means() == meter.means()
    meter.add(1, torch.tensor(float("nan")), 5, 4)
    meter.add(0, torch.tensor(float("inf")), 5, 6)
    with pytest.raises(TinyflowError, match="architecture's loss is not finite in epoch 3, step 5 of 9"):
        meter.check(steps, 2, 9)


def test_a_checkpoint_of_another_recipe_is_not_resumed(dataset, tmp_path):
    with pytest.raises(TinyflowError, match="interrupted"):
        search_network(dataset, CONFIG, tmp_path / "parts", interrupt_at(1))
    notes, config = [], replace(CONFIG, epochs=1, warmup_epochs=0, seed=1)
    resumed = search_network(dataset, config, tmp_path / "parts", lambda *arguments: notes.append(arguments[3]))
    assert any("anew" in note for note in notes)
    assert resumed.genotype == search_network(dataset, config, tmp_path / "fresh").genotype


def test_a_network_that_does_not_fit_is_said_so(dataset, tmp_path):
    board = replace(load_board("nucleo-l4r5zi"), instruction_budget=1000)
    notes = []
    result = search_network(
        dataset,
        replace(CONFIG, frontends=FRONTENDS[:1], epochs=1, warmup_epochs=0),
        tmp_path,
        lambda *arguments: notes.append(arguments[3]),
        board,
    )
    fit = load_search(tmp_path).history["fit"]
    assert (
        not fit["fits"] and fit["board"] == board.name and any("does not fit" in warning for warning in result.warnings)
    )
    expected = result.history["epochs"][-1]["expected"]
    assert expected[
        "instructions"
    ] > 1e6 and f"expected {expected['instructions'] / 1e6:.1f} of 0 M instructions/s" in "".join(notes)


def test_data_choices_say_what_they_are():
    network, _ = parts(CONFIG)
    assert "1.00 times" in data_choice(network.mixture, CONFIG)
    assert data_choice(network.mixture, replace(CONFIG, frontend_selection="perturbation")) == "chosen by perturbation"
    network.mixture.stopped = True
    assert data_choice(network.mixture, CONFIG) == "chosen"


def test_window_and_hop_are_learnt_and_resumed(dataset, tmp_path):
    """Validation clips alone move them, behind the warm-up; what is found is what they snap to."""
    config = replace(CONFIG, continuous="window_hop", frontends=("640/320/40/mfcc10",), epochs=2)
    whole = search_network(dataset, config, tmp_path / "whole")
    first, last = (item["frontend"] for item in whole.history["epochs"])
    assert (first["window"], first["hop"]) == pytest.approx((640, 320)) and (
        last["window"],
        last["hop"],
    ) != pytest.approx((640, 320))
    assert whole.genotype.frontend.name == last["snapped"] and whole.genotype.alignment == "native"
    assert whole.data_choice == "chosen by gradient descent on window and hop" and not whole.warnings
    with pytest.raises(TinyflowError, match="interrupted"):
        search_network(dataset, config, tmp_path / "parts", interrupt_at(4))
    resumed = search_network(dataset, config, tmp_path / "parts")
    assert resumed.genotype == whole.genotype and resumed.history["epochs"][-1]["frontend"] == last


def test_the_resource_term_makes_the_network_cheaper(dataset):
    """Far above its budget, on the same batches: expected instructions end below those of the
    search without the term.
    """
    frontends = tuple(map(front_end_named, FRONTENDS))
    data = SearchData(dataset, frontends, CONFIG, "cpu")
    board, found = replace(load_board("nucleo-l4r5zi"), instruction_budget=1_000_000), []
    for weight in (0.0, 10.0):
        config = replace(CONFIG, resource_weight=weight, resource_anneal_epochs=1)
        resources = Resources(config, frontends, 4, board)
        network, _ = parts(config)
        steps = Steps(network, config, resources)
        before = float(resources.expected(network.supernet.mixing(), network.mixture.softmax()).instructions)
        for step in range(6):
            steps.train_architecture(data.validation(step), 2)
        found.append(
            float(resources.expected(network.supernet.mixing(), network.mixture.softmax()).instructions) / before
        )
    assert found[1] < found[0] - 0.02
