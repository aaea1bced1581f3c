"""Training: it learns, resumes bit for bit, stops on Ctrl-C and on a loss that is not finite."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from tone_dataset import every_operation, tone_dataset

from tinyflow.errors import TinyflowError
from tinyflow.recipe import Augment, Train
from tinyflow.train import evaluate, load_trained, train_model
from tinyflow.train.batches import mask
from tinyflow.train.training import CHECKPOINT, learning_rate

CONFIG = Train(
    epochs=3,
    batch_size=16,
    learning_rate=0.05,
    ema_decay=0.9,
    drop_path=0.2,
    label_smoothing=0.1,
    warmup_epochs=1,
    device="cpu",
)


pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tone_dataset(tmp_path_factory.mktemp("tones") / "data")


def interrupt_at(step: int):
    """A Progress that presses Ctrl-C once ``step`` steps are done."""

    def progress(task: str, done: int, total: int, note: str = "") -> None:
        if total and done == step:
            os.kill(os.getpid(), signal.SIGINT)

    return progress


@pytest.mark.slow
def test_it_learns_and_is_read_back(dataset, tmp_path):
    genotype = every_operation(dataset.labels, channels=8)
    notes = []
    config = replace(CONFIG, epochs=12, ema_decay=0.0, drop_path=0.0)
    trained = train_model(genotype, dataset, config, tmp_path / "train", lambda *arguments: notes.append(arguments))
    result = evaluate(trained, dataset, device="cpu")
    assert result.accuracy > 0.9 and result.description == "tones" and result.clips == len(dataset.split("testing"))
    assert [item["epoch"] for item in trained.history["epochs"]] == list(range(1, 13))
    assert trained.history["epochs"][-1]["loss"] < trained.history["epochs"][0]["loss"]
    assert notes[-1][1] == notes[-1][2] > 0
    again = load_trained(tmp_path / "train")
    x = torch.randn(2, 1, *genotype.frontend.shape)
    assert torch.equal(again.network(x), trained.network(x)) and not (tmp_path / "train" / CHECKPOINT).exists()
    assert (tmp_path / "train" / "history.png").stat().st_size > 1000
    assert np.array_equal(again.scaler.mean, trained.scaler.mean) and again.macs == trained.macs


@pytest.mark.parametrize(
    "augment",
    [
        Augment(spec_time_masks=1, spec_time_width=8, spec_freq_masks=1, spec_freq_width=3),
        Augment(shift_ms=50, gain_db=3, noise_probability=0.5),
    ],
    ids=["kept features", "waveforms"],
)
def test_resumed_training_gives_the_same_weights(dataset, tmp_path, augment):
    if augment.shift_ms:
        pytest.importorskip("tinyflow.data.augment")
    genotype, config = every_operation(dataset.labels), replace(CONFIG, augment=augment)
    whole = train_model(genotype, dataset, config, tmp_path / "whole")
    steps = sum(item["clips"] for item in whole.history["epochs"]) // 16
    for step in (2, steps // 2):  # within the first epoch, and later
        with pytest.raises(TinyflowError, match="interrupted") as error:
            train_model(genotype, dataset, config, tmp_path / "parts", interrupt_at(step))
        assert "resumes" in error.value.hint and (tmp_path / "parts" / CHECKPOINT).is_file()
    torch.manual_seed(99)  # what else happens in the process must not matter
    parts = train_model(genotype, dataset, config, tmp_path / "parts")
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, parts.network.state_dict()[name]), name
    drop = ("seconds",)
    assert [{k: v for k, v in item.items() if k not in drop} for item in whole.history["epochs"]] == [
        {k: v for k, v in item.items() if k not in drop} for item in parts.history["epochs"]
    ]


def test_a_checkpoint_of_another_recipe_is_not_resumed(dataset, tmp_path):
    genotype = every_operation(dataset.labels)
    with pytest.raises(TinyflowError, match="interrupted"):
        train_model(genotype, dataset, CONFIG, tmp_path / "train", interrupt_at(1))
    notes = []
    config = replace(CONFIG, epochs=1, seed=1)
    resumed = train_model(genotype, dataset, config, tmp_path / "train", lambda *arguments: notes.append(arguments[3]))
    fresh = train_model(genotype, dataset, config, tmp_path / "fresh")
    assert any("anew" in note for note in notes)
    assert all(
        torch.equal(a, b) for a, b in zip(resumed.network.state_dict().values(), fresh.network.state_dict().values())
    )


def test_a_loss_that_is_not_finite_stops_at_once(dataset, tmp_path):
    with pytest.raises(TinyflowError, match="the loss is .* epoch 1") as error:
        train_model(
            every_operation(dataset.labels),
            dataset,
            replace(CONFIG, learning_rate=1e30, warmup_epochs=0, gradient_clip=0),
            tmp_path / "train",
        )
    assert "learning_rate" in error.value.hint


def test_a_damaged_checkpoint_says_so(dataset, tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"not a checkpoint")
    with pytest.raises(TinyflowError, match="cannot be read"):
        train_model(every_operation(dataset.labels), dataset, CONFIG, tmp_path)


def test_labels_must_be_those_of_the_data(dataset, tmp_path):
    with pytest.raises(TinyflowError, match="labels"):
        train_model(every_operation(("a", "b")), dataset, CONFIG, tmp_path)


@pytest.mark.parametrize("device", ["cuda:7", "abacus"])
def test_an_absent_device_is_refused(dataset, tmp_path, device):
    with pytest.raises(TinyflowError, match=device):
        train_model(every_operation(dataset.labels), dataset, replace(CONFIG, device=device), tmp_path)


@pytest.mark.parametrize("name", ["weights.safetensors", "scaler.json", "genotype.json"])
def test_a_broken_artefact_is_named(dataset, tmp_path, name):
    train_model(every_operation(dataset.labels), dataset, replace(CONFIG, epochs=1), tmp_path)
    (tmp_path / name).write_text("{}")
    with pytest.raises(TinyflowError, match=name.partition(".")[0]):
        load_trained(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(TinyflowError, match="does not exist"):
        load_trained(tmp_path)


def test_learning_rate_rises_and_falls():
    config = Train(epochs=10, learning_rate=1.0, warmup_epochs=2)
    assert learning_rate(config, 1) == 0.5 and learning_rate(config, 2) == 1.0
    assert learning_rate(config, 6) == pytest.approx(0.5) and learning_rate(config, 10) == pytest.approx(0.0)


def test_masks_cover_spans_of_frames_and_coefficients():
    config = Augment(spec_time_masks=1, spec_time_width=5, spec_freq_masks=1, spec_freq_width=3)
    masked = mask(torch.ones(200, 20, 10), config, np.random.default_rng(0)) == 0
    frames, coefficients = masked.all(2).sum(1), masked.all(1).sum(1)
    assert frames.max() == 5 and coefficients.max() == 3 and frames.min() == 0 and coefficients.min() == 0
    whole = masked.all(2, keepdim=True) | masked.all(1, keepdim=True)  # nothing is masked in part
    assert torch.equal(masked, whole)


@pytest.mark.parametrize(
    "module, absent",
    [
        ("tinyflow.train", {"torch"}),
        ("tinyflow.compile", {"torch", "onnx", "numpy"}),
        ("tinyflow.train.training", {"tensorflow", "onnx", "pydantic"}),
    ],
)
def test_imports_stay_light(module, absent):
    script = f"import sys, {module}; print(*{absent!r} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == ""
    )
