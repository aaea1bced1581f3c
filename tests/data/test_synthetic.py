"""espeak-ng speech: deterministic, and testing unheard in training."""

import shutil

import numpy as np
import pytest

from tinyflow.data import prepare, source_fingerprint
from tinyflow.data.background import SPLITS
from tinyflow.data.synthetic import (
    NOISES,
    RATE_STEP,
    RATES,
    VARIANTS,
    Utterance,
    available_voices,
    mix,
    speak,
    split_counts,
    trim,
)
from tinyflow.data.vocabulary import SILENCE, UNKNOWN
from tinyflow.errors import TinyflowError
from tinyflow.recipe import Data, Synthetic

spoken = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="needs espeak-ng: make setup")
TINY = Data(
    task="keywords",
    keywords=("yes", "stop"),
    silence=0.1,
    synthetic=Synthetic(clips_per_word=20, unknown_words=("bed", "yes")),
    seed=5,
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return prepare(TINY, ".", tmp_path_factory.mktemp("synthetic") / "data")


@spoken
def test_counts(tiny):
    assert tiny.labels == ("yes", "stop", SILENCE, UNKNOWN) and tiny.description == "synthetic"
    assert tiny.info["counts"] == {
        "training": {"yes": 14, "stop": 14, SILENCE: 0, UNKNOWN: 14},
        "validation": {"yes": 2, "stop": 2, SILENCE: 2, UNKNOWN: 2},
        "testing": {"yes": 4, "stop": 4, SILENCE: 4, UNKNOWN: 4},
    }
    assert tiny.info["source"]["espeak-ng"] == source_fingerprint(TINY, ".")["espeak-ng"]


@spoken
def test_same_bytes_again(tiny, tmp_path):
    again = prepare(TINY, ".", tmp_path / "data")
    for name in sorted(path.name for path in tiny.folder.iterdir()):
        assert (again.folder / name).read_bytes() == (tiny.folder / name).read_bytes(), name


@spoken
def test_another_seed_gives_other_clips(tiny, tmp_path):
    other = prepare(Data(**{**TINY.__dict__, "seed": 6}), ".", tmp_path / "data")
    mine, theirs = tiny.split("training"), other.split("training")
    assert not any((a == b).all() for a, b in zip(mine.audio, theirs.audio))


@spoken
def test_test_voices_are_unheard_in_training(tiny):
    speakers = [set(tiny.split(name).speakers) - {""} for name in SPLITS]
    assert (
        all(speakers)
        and not speakers[0] & speakers[1]
        and not speakers[0] & speakers[2]
        and not speakers[1] & speakers[2]
    )
    variants = [{name.split("+")[1] for name in group} for group in available_voices().values()]
    assert not variants[0] & variants[1] and not variants[0] & variants[2] and not variants[1] & variants[2]


def test_rates_and_noises_are_disjoint():
    # a word that is too long is spoken RATE_STEP faster, and still at no rate of another split
    classes = [{rate % RATE_STEP for rate in rates} for rates in RATES.values()]
    assert not classes[0] & classes[1] and not classes[0] & classes[2] and not classes[1] & classes[2]
    assert not set(NOISES["training"]) & set(NOISES["testing"])
    assert not set(VARIANTS["training"]) & set(VARIANTS["testing"])


@spoken
def test_clips_are_speech(tiny):
    for name in SPLITS:
        split = tiny.split(name)
        word = split.audio[split.labels != tiny.labels.index(SILENCE)].astype(float)
        assert word.shape[1] == 16000 and (np.abs(word).max(axis=1) > 3000).all()
        assert (np.abs(word).max(axis=1) < 32000).all()


@spoken
def test_long_words_are_kept_whole():
    slow = Utterance("extraordinarily", "en-us+f3", 130, 50)
    assert 8000 < len(speak(slow, 16000)) <= 16000 < len(speak(slow, 48000))
    with pytest.raises(TinyflowError, match="needs more than 1 s for 'antidisestablishmentarianism of the"):
        speak(Utterance("antidisestablishmentarianism of the nineteenth century", "en-us+f3", 130, 50), 16000)
    with pytest.raises(TinyflowError, match="says nothing"):
        speak(Utterance(" ", "en-us+f3", 130, 50), 16000)


def test_trim_keeps_a_margin():
    audio = np.zeros(16000, np.float32)
    audio[4000:6000] = 0.5
    assert len(trim(audio)) == 2000 + 2 * 80
    assert len(trim(audio[4000:6000])) == 2000


def test_mix_sets_the_ratio():
    word = np.sin(np.arange(4000) * 0.2)
    noise = [np.random.default_rng(9).integers(-9000, 9000, 40000).astype(np.int16)]
    ratios = []
    for seed in range(60):
        clip = mix(word, noise, 16000, np.random.default_rng(seed)).astype(float)
        active = np.flatnonzero(np.convolve(np.abs(clip), np.ones(50) / 50, "same") > 0.45 * np.abs(clip).max())
        rest = np.ones(16000, bool)
        rest[max(0, active[0] - 300) : active[-1] + 300] = False
        if clip[rest].any():
            power = np.mean(clip[active] ** 2)
            ratios.append(10 * np.log10(power / np.mean(clip[rest] ** 2)))
    assert 40 < len(ratios) < 60 and 4 < min(ratios) < 10 and 25 < max(ratios) < 31.5


def test_fractions():
    assert split_counts(Synthetic(clips_per_word=150)) == {"training": 105, "validation": 15, "testing": 30}
    assert min(split_counts(Synthetic(clips_per_word=10, validation_fraction=0.01)).values()) == 1


@spoken
def test_unknown_words_needed():
    with pytest.raises(TinyflowError, match="no word besides the keywords"):
        prepare(Data(task="names", synthetic=Synthetic(unknown_words=("marvin",))), ".", "never")


def test_missing_espeak(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for call in (lambda: source_fingerprint(TINY, "."), lambda: prepare(TINY, ".", tmp_path / "out")):
        with pytest.raises(TinyflowError, match="espeak-ng is not installed") as caught:
            call()
        assert "make setup" in caught.value.hint
