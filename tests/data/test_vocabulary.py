"""Labels and their order, which every trained model depends on."""

import pytest

from tinyflow.data.vocabulary import SILENCE, UNKNOWN, WORDS, vocabulary_of
from tinyflow.errors import TinyflowError
from tinyflow.recipe import Data


def test_gsc12():
    vocabulary = vocabulary_of(Data(task="gsc12"))
    assert vocabulary.labels == (
        "yes",
        "no",
        "up",
        "down",
        "left",
        "right",
        "on",
        "off",
        "stop",
        "go",
        SILENCE,
        UNKNOWN,
    )
    assert (vocabulary.label("yes"), vocabulary.label("bed"), vocabulary.label(SILENCE)) == ("yes", UNKNOWN, SILENCE)


def test_gsc35():
    vocabulary = vocabulary_of(Data(task="gsc35"))
    assert vocabulary.labels == WORDS == tuple(sorted(WORDS)) and len(set(WORDS)) == 35
    assert vocabulary.label(SILENCE) is None and vocabulary.label("hello") is None


def test_names_has_no_silence():
    vocabulary = vocabulary_of(Data(task="names"))
    assert vocabulary.labels == ("marvin", "sheila", UNKNOWN)
    assert vocabulary.label(SILENCE) is None and vocabulary.label("yes") == UNKNOWN


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
    assert vocabulary_of(Data(task="keywords", keywords=("b", "a"), unknown=unknown, silence=silence)).labels == labels


def test_folder_words():
    assert vocabulary_of(Data(task="keywords", silence=0.0), ["a", "b", UNKNOWN]).labels == ("a", "b", UNKNOWN)


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
        vocabulary_of(data)
