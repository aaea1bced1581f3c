"""Labels and their order, which every trained model depends on."""

import pytest

from tinyflow.data.tasks import SILENCE, UNKNOWN, WORDS, make_task
from tinyflow.errors import TinyflowError
from tinyflow.recipe import Data


def test_gsc12():
    task = make_task(Data(task="gsc12"))
    assert task.labels == ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", SILENCE, UNKNOWN)
    assert (task.label("yes"), task.label("bed"), task.label(SILENCE)) == ("yes", UNKNOWN, SILENCE)


def test_gsc35():
    task = make_task(Data(task="gsc35"))
    assert task.labels == WORDS == tuple(sorted(WORDS)) and len(set(WORDS)) == 35
    assert task.label(SILENCE) is None and task.label("hello") is None


def test_names_has_no_silence():
    task = make_task(Data(task="names"))
    assert task.labels == ("marvin", "sheila", UNKNOWN)
    assert task.label(SILENCE) is None and task.label("yes") == UNKNOWN


@pytest.mark.parametrize(
    ("unknown", "silence", "labels"),
    [
        (True, 0.1, ("b", "a", SILENCE, UNKNOWN)),
        (True, 0.0, ("b", "a", UNKNOWN)),
        (False, 0.1, ("b", "a", SILENCE)),
        (False, 0.0, ("b", "a")),
    ],
)
def test_keywords(unknown, silence, labels):
    assert make_task(Data(task="keywords", keywords=("b", "a"), unknown=unknown, silence=silence)).labels == labels


def test_folder_words():
    assert make_task(Data(task="keywords", silence=0.0), ["a", "b", UNKNOWN]).labels == ("a", "b", UNKNOWN)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Data(task="keywords"), "keywords is empty"),
        (Data(task="keywords", keywords=("yes", "yes")), "twice"),
        (Data(task="keywords", keywords=("yes", SILENCE)), SILENCE),
        (Data(task="gsc12", silence=0.0), "silence is 0"),
    ],
)
def test_refused(data, message):
    with pytest.raises(TinyflowError, match=message):
        make_task(data)
