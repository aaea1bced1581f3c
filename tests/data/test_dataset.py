"""What a data folder holds: contents, epochs, silence, and what is checked when it is written."""

import csv
import json

import numpy as np
import pytest

from tinyflow.data import background, load_dataset
from tinyflow.data.background import SPLITS, cut, made, split_in_time
from tinyflow.data.store import Clip, Corpus, Recording, check_listed, choose, write_dataset
from tinyflow.data.vocabulary import SILENCE, UNKNOWN, Vocabulary, vocabulary_of
from tinyflow.errors import TinyflowError
from tinyflow.progress import silent
from tinyflow.recipe import Data
from tinyflow.results import to_json

COUNTS = {"yes": 40, "no": 20, "rare": 3, "bed": 70, "cat": 50}  # training; a fifth of it in the other splits


def clips(counts=COUNTS):
    rng = np.random.default_rng(0)
    for split in SPLITS:
        for word, count in counts.items():
            for n in range(count if split == "training" else max(1, count // 5)):
                yield Clip(
                    Recording(word, split, f"{split}{n}", f"{word}/{split}{n}.wav"),
                    rng.integers(-9000, 9000, 16000).astype(np.int16),
                )


def write(folder, data, given=None, background=None):
    given = list(clips() if given is None else given)
    corpus = Corpus("noise", given, len(given), background or made(16000, 3), {"kind": "test"})
    return write_dataset(corpus, vocabulary_of(data), data, folder, silent)


KEYWORDS = Data(task="keywords", keywords=("yes", "no", "rare"), silence=0.1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write(tmp_path_factory.mktemp("set") / "data", KEYWORDS)


def test_splits_hold_what_was_written(dataset):
    given = list(clips())
    for name in SPLITS:
        split = dataset.split(name)
        wanted = [clip for clip in given if clip.recording.split == name]
        assert split.audio.dtype == np.int16 and isinstance(split.audio, np.memmap) and split.labels.dtype == np.int64
        for row, clip in enumerate(wanted):
            np.testing.assert_array_equal(split.audio[row], clip.audio)
            assert (split.words[row], split.speakers[row], split.sources[row]) == (
                clip.recording.word,
                clip.recording.speaker,
                clip.recording.source,
            )
            assert dataset.labels[split.labels[row]] == (
                clip.recording.word if clip.recording.word in KEYWORDS.keywords else UNKNOWN
            )
        silence = split.labels == dataset.labels.index(SILENCE)
        assert silence.sum() == (0 if name == "training" else round((8 + 4 + 1) / 3))


def test_counts_and_files(dataset):
    info = json.loads((dataset.folder / "dataset.json").read_text())
    assert info["counts"]["training"] == {"yes": 40, "no": 20, "rare": 3, SILENCE: 0, UNKNOWN: 120}
    with open(dataset.folder / "training.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["row", "label", "word", "speaker", "source"] and [int(row["row"]) for row in rows] == list(
        range(183)
    )
    assert any("rare" in warning for warning in info["warnings"])
    assert json.loads(json.dumps(to_json(dataset.summary())))["counts"] == info["counts"]


def test_epoch_balance(dataset):
    epoch = dataset.training_epoch(0, 1)
    assert epoch.audio_rows.dtype == epoch.labels.dtype == np.int64
    counts = dict(zip(dataset.labels, np.bincount(epoch.labels, minlength=5).tolist()))
    mean = 21  # of 40, 20 and 3 clips
    # rare may be heard four times at most; the others at least up to the mean
    assert {word: counts[word] for word in ("yes", "no", "rare", UNKNOWN)} == {
        "yes": 40,
        "no": mean,
        "rare": 12,
        UNKNOWN: mean,
    }
    assert abs(counts[SILENCE] / len(epoch) - 0.1) < 0.01
    silence = epoch.audio_rows == -1
    np.testing.assert_array_equal(silence, epoch.labels == dataset.labels.index(SILENCE))
    labels = dataset.split("training").labels
    np.testing.assert_array_equal(labels[epoch.audio_rows[~silence]], epoch.labels[~silence])
    yes = epoch.audio_rows[epoch.labels == 0]
    assert len(set(yes.tolist())) == 40


def test_unknown_is_drawn_anew_and_reproducibly(dataset):
    first, again, second, seeded = (dataset.training_epoch(*which) for which in ((0, 1), (0, 1), (1, 1), (0, 2)))
    np.testing.assert_array_equal(first.audio_rows, again.audio_rows)
    np.testing.assert_array_equal(first.labels, again.labels)
    unknown = dataset.labels.index(UNKNOWN)

    def drawn(epoch):
        return set(epoch.audio_rows[epoch.labels == unknown].tolist())

    assert len(drawn(first)) == 21
    assert drawn(first) != drawn(second) and drawn(first) != drawn(seeded)
    # every unknown clip has its turn
    assert len(set.union(*(drawn(dataset.training_epoch(number, 1)) for number in range(60)))) == 120


def test_without_unknown_every_clip_once(tmp_path):
    dataset = write(
        tmp_path / "data",
        Data(task="keywords", keywords=("yes", "no"), unknown=False, silence=0.0),
        [clip for clip in clips() if clip.recording.word in ("yes", "no")],
    )
    assert dataset.labels == ("yes", "no")
    assert sorted(dataset.training_epoch(3, 0).audio_rows.tolist()) == list(range(60))


def test_clip(dataset):
    rng = np.random.default_rng(0)
    audio = dataset.split("training").audio
    np.testing.assert_array_equal(dataset.clip(5, rng), audio[5])
    mixed = dataset.clip(np.array([7, -1, 2, -1]), rng)
    assert mixed.dtype == np.int16 and mixed.shape == (4, 16000)
    np.testing.assert_array_equal(mixed[[0, 2]], audio[[7, 2]])
    assert (mixed[1] != mixed[3]).any()
    silence = dataset.clip(np.full(200, -1), np.random.default_rng(1))
    assert 5 <= (~silence.any(axis=1)).sum() <= 40  # true zero now and then
    assert len({row.tobytes() for row in silence}) > 150
    np.testing.assert_array_equal(silence, dataset.clip(np.full(200, -1), np.random.default_rng(1)))


def test_silence_of_the_splits_never_meets(tmp_path):
    """Background recordings are ramps: the value tells the place each clip was cut from, whatever its gain."""
    recording = np.arange(1, 32001, dtype=np.int16).repeat(4)
    parts = split_in_time([recording])
    assert sum(len(parts[split][0]) for split in SPLITS) == len(recording)
    assert (
        parts["training"][0].max()
        < parts["validation"][0].min()
        <= parts["validation"][0].max()
        < parts["testing"][0].min()
    )
    dataset = write(tmp_path / "data", KEYWORDS, background=parts)
    np.testing.assert_array_equal(dataset.background[0], parts["training"][0])
    for name in ("validation", "testing"):
        split = dataset.split(name)
        for row in np.flatnonzero(split.labels == dataset.labels.index(SILENCE)):
            assert split.sources[row].startswith(f"background/{name}")
            assert np.abs(split.audio[row].astype(int)).max() <= parts[name][0].max()


def test_cut_wraps():
    np.testing.assert_array_equal(cut(np.arange(5), 3, 4), [3, 4, 0, 1])
    np.testing.assert_array_equal(cut(np.arange(5), 1, 4), [1, 2, 3, 4])


def test_made_noise_differs_between_splits():
    noises = made(16000, 0, seconds=1.0)
    assert len({audio.tobytes() for split in SPLITS for audio in noises[split]}) == 9
    np.testing.assert_array_equal(noises["training"][0], made(16000, 0, seconds=1.0)["training"][0])


def test_same_clips_same_fingerprint(dataset, tmp_path):
    assert write(tmp_path / "again", KEYWORDS).fingerprint == dataset.fingerprint
    changed = list(clips())
    changed[4].audio[100] += 1
    assert write(tmp_path / "changed", KEYWORDS, changed).fingerprint != dataset.fingerprint


def test_broken_clips_are_counted_and_named(tmp_path):
    given = list(clips())
    for index in (0, 1, 45):
        given[index] = Clip(given[index].recording, None, reason="truncated: 3 of 9 bytes")
    summary = write(tmp_path / "data", KEYWORDS, given).summary()
    assert summary.skipped == 3 and summary.skipped_reasons == {"truncated": 3}
    assert "yes/training0.wav: truncated: 3 of 9 bytes" in summary.skipped_files
    assert summary.counts["training"]["yes"] == 38


def test_class_more_than_half_broken(tmp_path):
    given = [
        Clip(clip.recording, None, reason="empty file") if clip.recording.word == "no" and index % 4 else clip
        for index, clip in enumerate(clips())
    ]
    with pytest.raises(TinyflowError, match=r"of class 'no' cannot be used, for example no/.*: empty file"):
        write(tmp_path / "data", KEYWORDS, given)
    assert not (tmp_path / "data").exists() and not list(tmp_path.iterdir())  # nothing half-written


def test_class_without_test_clip(tmp_path):
    with pytest.raises(TinyflowError, match="no testing clip of rare"):
        write(
            tmp_path / "data",
            KEYWORDS,
            [clip for clip in clips() if (clip.recording.word, clip.recording.split) != ("rare", "testing")],
        )
    with pytest.raises(TinyflowError, match="no usable recording"):
        write(tmp_path / "none", Data(task="keywords", keywords=("yes",), silence=0.0), [])


def test_leaks_are_told(tmp_path):
    given = list(clips())
    training, testing = (
        next(clip for clip in given if clip.recording.split == split) for split in ("training", "testing")
    )
    testing.audio[:] = training.audio
    given.append(Clip(Recording("yes", "testing", "training0", "yes/again.wav"), np.full(16000, 7, np.int16)))
    warnings = write(tmp_path / "data", KEYWORDS, given).summary().warnings
    assert any("1 clips occur" in warning for warning in warnings) and any(
        "1 speakers are in two splits" in warning for warning in warnings
    )


def test_choose_is_seeded_per_word_and_split():
    recordings = [clip.recording for clip in clips()]
    few = choose(recordings, 5, 0)
    assert few == choose(recordings, 5, 0) != choose(recordings, 5, 1)
    assert sum(item.word == "yes" and item.split == "training" for item in few) == 5
    assert [item for item in recordings if item in set(few)] == few


def test_damaged_folder_is_named(dataset, tmp_path):
    import shutil

    folder = tmp_path / "data"
    shutil.copytree(dataset.folder, folder)
    (folder / "training.csv").write_text("row,label,word,speaker,source\n")
    with pytest.raises(TinyflowError, match="training.npy is int16"):
        load_dataset(folder).split("training")
    (folder / "dataset.json").write_text('{"format": 99}')
    with pytest.raises(TinyflowError, match="format 99"):
        load_dataset(folder)
    with pytest.raises(TinyflowError, match="no split 'test'"):
        dataset.split("test")


def test_a_class_without_recordings_in_a_split_is_refused_before_any_is_read():
    vocabulary = Vocabulary("keywords", ("a", "b"), unknown=False, silence=0.1)
    listed = [Recording("a", split, "", f"a/{split}.wav") for split in ("training", "validation", "testing")]
    listed += [Recording("b", split, "", f"b/{split}.wav") for split in ("training", "testing")]
    with pytest.raises(TinyflowError, match="no validation clip of b in these recordings") as error:
        check_listed(listed, vocabulary, "own words")
    assert "data.keywords=['a']" in error.value.hint
    check_listed([*listed, Recording("b", "validation", "", "b/v.wav")], vocabulary, "own words")  # silence is made


def test_silence_comes_at_every_level_whatever_the_recordings_own():
    quiet = (np.random.default_rng(0).standard_normal(40000) * 100).astype(np.int16)
    clips = [background.cut_silence([quiet], 16000, np.random.default_rng(seed)) for seed in range(300)]
    levels = np.array([20 * np.log10(max(np.sqrt(np.mean(clip.astype(float) ** 2)), 1e-3) / 32768) for clip in clips])
    assert 0.05 < np.mean(levels < -100) < 0.16, "a tenth is digital silence"
    heard = levels[levels > -100]
    assert heard.min() < -65 and heard.max() > -20 and abs(np.median(heard) + 42.5) < 6
