"""compile_trained from a trained network to the self-test clips."""

import numpy as np
import pytest
from tone_dataset import every_operation, tone_dataset

from tinyflow.compile import load_compiled
from tinyflow.convert import compile_trained
from tinyflow.convert.trained import calibration_clips, choose
from tinyflow.errors import TinyflowError
from tinyflow.frontend.host import HostFrontend
from tinyflow.recipe import Compile, Train
from tinyflow.reference import oracle
from tinyflow.reference.hostmodel import HostModel
from tinyflow.train import evaluate, train_model

CONFIG = Compile(calibration_clips=32, selftest_clips=5)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tone_dataset(tmp_path_factory.mktemp("tones") / "data")


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    config = Train(epochs=6, batch_size=16, learning_rate=0.05, device="cpu")
    return train_model(every_operation(dataset.labels), dataset, config, tmp_path_factory.mktemp("tones") / "train")


@pytest.mark.slow
def test_the_whole_way(dataset, trained, tmp_path):
    notes = []
    out = tmp_path / "compile"
    compiled = compile_trained(trained, dataset, CONFIG, out, lambda *arguments: notes.append(arguments))
    assert compiled == load_compiled(out) and compiled.labels == dataset.labels
    assert compiled.macs == trained.macs and compiled.input.shape == (1, *trained.genotype.frontend.shape, 1)
    assert compiled.arena_bound_bytes <= compiled.arena_bytes
    assert notes[-1][1] == notes[-1][2]

    clips = np.load(compiled.selftest)
    assert clips["clips"].shape == (5, dataset.samples) and clips["clips"].dtype == np.int16
    assert np.array_equal(HostFrontend(compiled.c).features(clips["clips"]), clips["features"])
    rows = clips["features"].reshape(5, *compiled.input.shape[1:])
    assert np.array_equal(oracle.invoke(compiled.tflite, rows), clips["answers"])
    assert len(set(clips["words"])) == len(dataset.labels)
    held_out = {row.tobytes() for row in dataset.split("testing").audio}
    assert not any(clip.tobytes() in held_out for clip in clips["clips"])

    assert compiled.accuracy["float"] == pytest.approx(evaluate(trained, dataset, device="cpu").accuracy)
    test = dataset.split("testing")
    answers = HostModel(compiled).invoke(
        HostFrontend(compiled.c).features(np.array(test.audio)).reshape(-1, *compiled.input.shape[1:])
    )
    assert compiled.accuracy["int8"] == pytest.approx(np.mean(answers.argmax(1) == test.labels))
    assert compiled.accuracy["recordings"] == "tones"
    assert (
        compiled.checks["float TFLite against torch"] < 1e-4
        and "bit-exact" in compiled.checks["C network against tflite_micro"]
    )
    assert [path.name for path in tmp_path.iterdir()] == ["compile"]


def test_other_labels_are_refused(dataset, trained, tmp_path):
    class Other:
        labels = ("yes", "no")

    with pytest.raises(TinyflowError, match="labels|knows"):
        compile_trained(trained, Other(), CONFIG, tmp_path / "compile")
    assert not list(tmp_path.iterdir())


def test_calibration_is_balanced_and_never_of_the_test_split(dataset):
    clips = calibration_clips(dataset, 16)
    assert clips.shape == (16, dataset.samples) and np.array_equal(clips, calibration_clips(dataset, 16))
    training = {row.tobytes() for row in dataset.split("training").audio}
    assert sum(clip.tobytes() in training for clip in clips) == 12  # three words; the other four are silence
    assert not any(clip.tobytes() in {row.tobytes() for row in dataset.split("testing").audio} for clip in clips)


def test_choice_takes_every_class_in_turn():
    labels = np.array([0] * 50 + [1] * 3 + [2] * 10)
    chosen = choose(labels, 12)
    assert len(set(chosen)) == 12 and np.bincount(labels[chosen]).tolist() in ([5, 3, 4], [4, 3, 5])
    assert len(choose(labels, 1000)) == 63
