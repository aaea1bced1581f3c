"""Speech Commands: the official folder, the packed recordings, the hash rule, the 12-class test set."""

import csv
import tarfile
from collections import Counter

import numpy as np
import pytest
import soundfile

from tinyflow.artefacts import sha256
from tinyflow.data import prepare, source_fingerprint, source_of, speech_commands
from tinyflow.data.background import SPLITS
from tinyflow.data.speech_commands import archive as published_archive
from tinyflow.data.speech_commands import find_layout
from tinyflow.data.speech_commands.official import describe, which_split
from tinyflow.data.vocabulary import COMMANDS, SILENCE, UNKNOWN
from tinyflow.errors import TinyflowError
from tinyflow.recipe import Data

# Facts: the splits of these recordings in the official archive.
OFFICIAL = {
    "right/bb05582b_nohash_3.wav": "testing",
    "marvin/105a0eea_nohash_0.wav": "testing",
    "marvin/3b4f8f24_nohash_0.wav": "testing",
    "backward/03401e93_nohash_0.wav": "testing",
    "backward/0cb74144_nohash_1.wav": "testing",
    "yes/026290a7_nohash_0.wav": "validation",
    "yes/060cd039_nohash_0.wav": "validation",
    "marvin/6a27a9bf_nohash_0.wav": "validation",
    "yes/004ae714_nohash_0.wav": "training",
    "yes/00f0204f_nohash_0.wav": "training",
}
SPEAKERS = {
    "training": ("004ae714", "00f0204f", "5fe4a278"),
    "validation": ("026290a7", "060cd039"),
    "testing": ("105a0eea", "3b4f8f24"),
}


HISS = np.random.default_rng(7).integers(-900, 900, 64000).astype(np.int16)


def test_hash_rule_on_official_files():
    assert {name: which_split(name) for name in OFFICIAL} == OFFICIAL
    assert which_split("a/bobby_nohash_0.wav") == which_split("b/bobby_nohash_1_v1.flac")


@pytest.mark.parametrize(
    ("clips", "text"),
    [
        (105829, "Speech Commands v0.02"),
        (40897, "Speech Commands, 40 % subset"),
        (105828, "Speech Commands, 95 % subset"),
        (11000, "Speech Commands, 10 % subset"),
        (500, "Speech Commands, 0.47 % subset"),
    ],
)
def test_description(clips, text):
    assert describe(clips) == text


@pytest.fixture
def official(tmp_path, write):
    """Two words by seven speakers in the official folder layout, without lists."""
    root = tmp_path / "speech_commands_v0.02"
    for word in ("yes", "no", "bed"):
        for split in SPLITS:
            for speaker in SPEAKERS[split]:
                write(root / word / f"{speaker}_nohash_0.wav", samples=14000 if word == "no" else 16000)
    write(root / "_background_noise_" / "tap.wav", samples=160000)
    (root / "_background_noise_" / "README.md").write_text("noise")
    return root


def take(split):
    return {
        word: {speaker for said, speaker in zip(split.words, split.speakers) if said == word}
        for word in set(split.words)
    }


YES_NO = {"source": "speech_commands", "task": "keywords", "keywords": ("yes", "no"), "silence": 0.1}


def test_official_layout_by_hash_rule(official, tmp_path):
    dataset = prepare(Data(path="speech_commands_v0.02", **YES_NO), tmp_path, tmp_path / "out")
    assert dataset.labels == ("yes", "no", SILENCE, UNKNOWN)
    for name in SPLITS:
        spoken = take(dataset.split(name))
        assert {word: spoken[word] for word in ("yes", "no", "bed")} == {
            word: set(SPEAKERS[name]) for word in ("yes", "no", "bed")
        }
    assert dataset.info["changes"]["padded"] == 7 and dataset.info["source"]["split_by"] == "hash rule"
    assert dataset.info["source"]["background"] == ["tap.wav"] and len(dataset.background[0]) == 112000


def test_lists_decide_also_for_flac(official, tmp_path):
    for path in sorted(official.glob("[yn]*/*.wav")):
        audio, rate = soundfile.read(path, dtype="int16")
        soundfile.write(path.with_suffix(".flac"), audio, rate)
        path.unlink()
    swapped = {"testing": "validation", "validation": "testing"}
    for split, other in swapped.items():
        names = [f"{word}/{speaker}_nohash_0.wav" for word in ("yes", "no", "bed") for speaker in SPEAKERS[other]]
        (official / f"{split}_list.txt").write_text("".join(f"{name}\n" for name in names))
    dataset = prepare(Data(path=str(official), **YES_NO), tmp_path, tmp_path / "out")
    for split, other in swapped.items():
        assert take(dataset.split(split))["yes"] == set(SPEAKERS[other])
    assert dataset.info["source"]["split_by"] == "lists"
    assert any(source.endswith(".flac") for source in dataset.split("training").sources)


def test_recorded_silence_is_test_only_and_never_a_word(official, tmp_path, write):
    for n in range(3):
        write(official / SILENCE / f"{n}.wav")
    dataset = prepare(Data(path=str(official), **YES_NO), tmp_path, tmp_path / "out")
    sources = {
        name: [
            source for source, word in zip(dataset.split(name).sources, dataset.split(name).words) if word == SILENCE
        ]
        for name in SPLITS
    }
    assert sources["testing"] == [f"{SILENCE}/{n}.wav" for n in range(3)] and not sources["training"]
    assert (
        all(source.startswith("background/validation/") for source in sources["validation"]) and sources["validation"]
    )
    without = prepare(Data(path=str(official), **{**YES_NO, "silence": 0.0}), tmp_path, tmp_path / "without")
    assert not any(SILENCE in without.split(name).words for name in SPLITS)


def test_broken_and_odd_files(official, tmp_path, write):
    training = official / "yes" / "004ae714_nohash_0.wav"
    training.write_bytes(training.read_bytes()[:9000])
    write(official / "no" / "00f0204f_nohash_0.wav", samples=44100, rate=44100)
    (official / "_background_noise_" / "bad.wav").write_text("no")
    dataset = prepare(Data(path=str(official), **YES_NO), tmp_path, tmp_path / "out")
    skipped = {item["file"]: item["reason"] for item in dataset.info["skipped"]}
    assert set(skipped) == {"_background_noise_/bad.wav", "yes/004ae714_nohash_0.wav"}
    assert "truncated" in skipped["yes/004ae714_nohash_0.wav"]
    assert dataset.info["changes"]["resampled"] == 1 and dataset.info["counts"]["training"]["yes"] == 2


def test_where_recordings_are_looked_for(official, tmp_path, monkeypatch):
    monkeypatch.delenv("TINYFLOW_DATA", raising=False)
    with pytest.raises(TinyflowError) as caught:
        prepare(Data(**YES_NO), tmp_path, tmp_path / "out")
    assert all(word in str(caught.value) for word in ("--data", "TINYFLOW_DATA", "data.download"))
    with pytest.raises(TinyflowError, match="is not a folder"):
        source_fingerprint(Data(path="nowhere", **YES_NO), tmp_path)
    (tmp_path / "void").mkdir()
    with pytest.raises(TinyflowError, match="has no Speech Commands recordings"):
        prepare(Data(path="void", **YES_NO), tmp_path, tmp_path / "out")
    monkeypatch.setenv("TINYFLOW_DATA", str(tmp_path))  # the parent of the usual folder name will do
    assert find_layout(tmp_path) == ("official", official)
    assert prepare(Data(**YES_NO), tmp_path, tmp_path / "out").split("training").words.count("yes") == 3
    assert source_of(official) == "speech_commands" and source_of(tmp_path / "void") == "folder"


def test_fingerprint_follows_the_files(official, tmp_path, write):
    data = Data(path=str(official), **YES_NO)
    before = source_fingerprint(data, tmp_path)
    assert before == source_fingerprint(data, tmp_path) and before["layout"] == "official"
    write(official / "yes" / "00f0204f_nohash_1.wav")
    assert source_fingerprint(data, tmp_path) != before


def test_words_that_are_not_there(official, tmp_path):
    with pytest.raises(TinyflowError, match="no training clip of backward") as caught:
        prepare(Data(source="speech_commands", task="gsc35", path=str(official)), tmp_path, tmp_path / "out")
    assert "['bed', 'no', 'yes']" in caught.value.hint


@pytest.fixture
def packed(tmp_path):
    """The ten commands and two other words in the packed layout; every clip is told by its values."""
    root = tmp_path / "speech_commands"
    (root / "audio").mkdir(parents=True)
    (root / "background").mkdir()
    rows, value = [], 0
    for word in (*COMMANDS, "bed", "cat", SILENCE):
        for stream, split, count in (
            ("training", "training", 3),
            ("validation", "validation", 2),
            ("testing", "testing", 2),
            ("test12", "testing", 2),
        ):
            if word == SILENCE and stream != "test12":
                continue
            audio = np.zeros(count * 16000, np.int16)
            for slot in range(count):
                value += 1
                length = 15000 if slot == 1 else 16000
                audio[slot * 16000 : slot * 16000 + length] = value
                speaker = "" if word == SILENCE else f"{SPEAKERS[split][slot % 2]}"
                name = (
                    f"{SILENCE}/{slot}.wav"
                    if word == SILENCE
                    else f"{word}/{speaker}_nohash_{slot}{'t' if stream == 'test12' else ''}.wav"
                )
                rows.append([name, word, speaker, split, f"{word}.{stream}", slot, length])
            soundfile.write(root / "audio" / f"{word}.{stream}.flac", audio, 16000)
    soundfile.write(root / "background" / "hiss.flac", HISS, 16000)
    with open(root / "manifest.csv", "w", newline="") as file:
        csv.writer(file).writerows([["name", "word", "speaker", "split", "stream", "slot", "samples"], *rows])
    return root


def test_packed_12_classes(packed, tmp_path):
    assert source_of(tmp_path) == "speech_commands"
    dataset = prepare(Data(source="speech_commands", path=str(tmp_path)), tmp_path, tmp_path / "out")
    testing = dataset.split("testing")
    assert all("t.wav" in source or SILENCE in source for source in testing.sources)
    assert Counter(dataset.labels[label] for label in testing.labels) == {
        **dict.fromkeys(COMMANDS, 2),
        SILENCE: 2,
        UNKNOWN: 4,
    }
    with open(packed / "manifest.csv", newline="") as file:
        places = {
            row["name"]: (number, int(row["samples"])) for number, row in enumerate(csv.DictReader(file), start=1)
        }
    for name in SPLITS:
        split = dataset.split(name)
        for row, source in enumerate(split.sources):
            if not source.startswith("background/"):
                value, length = places[source]
                assert (split.audio[row][:length] == value).all() and not split.audio[row][length:].any()
    assert dataset.info["changes"]["padded"] == 12 * 3 + 1
    np.testing.assert_array_equal(dataset.background[0], HISS[:44800])


def test_noise_that_the_test_was_cut_from_is_not_heard_in_training(packed, tmp_path):
    soundfile.write(
        packed / "audio" / f"{SILENCE}.test12.flac", np.concatenate([HISS[20000:36000] // 3, HISS[100:16100]]), 16000
    )
    dataset = prepare(Data(source="speech_commands", path=str(packed)), tmp_path, tmp_path / "out")
    assert all(len(piece) >= 16000 for piece in dataset.background)
    heard = np.concatenate([np.zeros(1, np.int16), *dataset.background]).astype(float)
    for clip in (HISS[20000:36000], HISS[100:15100]):
        found = np.correlate(heard, clip[4000:5000].astype(float), "full")
        assert found.max() < 0.5 * np.sum(clip[4000:5000].astype(float) ** 2)


def test_packed_other_tasks_test_on_all_words(packed, tmp_path):
    data = Data(
        source="speech_commands", task="keywords", keywords=("yes", "bed"), unknown=False, silence=0.0, path=str(packed)
    )
    testing = prepare(data, tmp_path, tmp_path / "out").split("testing")
    assert Counter(testing.words) == {"yes": 4, "bed": 4}


def test_packed_streams_may_be_broken(packed, tmp_path):
    audio, rate = soundfile.read(packed / "audio" / "cat.training.flac", dtype="int16")
    soundfile.write(packed / "audio" / "cat.training.flac", audio[:36000], rate)
    dataset = prepare(Data(source="speech_commands", path=str(packed)), tmp_path, tmp_path / "out")
    assert [item["reason"] for item in dataset.info["skipped"]] == ["truncated: stream cat.training ends before it"]
    for stream in ("training", "validation", "testing", "test12"):
        (packed / "audio" / f"yes.{stream}.flac").write_bytes(b"fLaC nonsense")
    with pytest.raises(TinyflowError, match="of class 'yes' cannot be used"):
        prepare(Data(source="speech_commands", path=str(packed)), tmp_path, tmp_path / "out")
    (packed / "manifest.csv").write_text("name,word\na,b\n")
    with pytest.raises(TinyflowError, match="lacks the columns"):
        prepare(Data(source="speech_commands", path=str(packed)), tmp_path, tmp_path / "out")


def test_download(official, tmp_path, monkeypatch):
    """torchaudio's part is replaced by a local archive; checking, unpacking into place and failing are ours."""

    def fetch(root):
        archive = root / "speech_commands_v0.02.tar.gz"
        with tarfile.open(archive, "w:gz") as file:
            file.add(official, "speech_commands_v0.02")
        with tarfile.open(archive) as file:
            file.extractall(root / "SpeechCommands", filter="data")
        monkeypatch.setattr(published_archive, "SHA256", sha256(archive) if good else "0" * 64)

    monkeypatch.setattr(published_archive, "fetch", fetch)
    data = Data(path="new", download=True, **YES_NO)
    good = False
    with pytest.raises(TinyflowError, match="SHA-256"):
        prepare(data, tmp_path, tmp_path / "out")
    assert not (tmp_path / "new").exists()
    good = True
    assert prepare(data, tmp_path, tmp_path / "out").split("training").words.count("yes") == 3
    assert not list((tmp_path / "new").glob("*.tar.gz"))
    monkeypatch.setattr(published_archive, "fetch", None)  # the second time nothing is fetched
    prepare(data, tmp_path, tmp_path / "out")

    def offline(root):
        raise OSError("network is unreachable")

    monkeypatch.setattr(published_archive, "fetch", offline)
    with pytest.raises(TinyflowError, match="cannot download Speech Commands: network is unreachable"):
        prepare(Data(path="newer", download=True, **YES_NO), tmp_path, tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(TinyflowError, match="not empty"):
        prepare(Data(path="full", download=True, **YES_NO), tmp_path, tmp_path / "out")
    assert (tmp_path / "full" / "letter.txt").exists()


def test_download_hash_is_torchaudios():
    datasets = pytest.importorskip("torchaudio.datasets.speechcommands")
    published = [
        value for url, value in datasets._CHECKSUMS.items() if url.endswith(f"{published_archive.NAME}.tar.gz")
    ]
    assert published == [published_archive.SHA256]


@pytest.mark.shared_data
def test_hash_rule_on_all_real_recordings(recordings):
    kind, root = find_layout(recordings)
    if kind != "packed":
        pytest.skip("needs the packed recordings: their manifest tells the official splits")
    with open(root / "manifest.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["word"] != SILENCE]
    assert len(rows) > 40000
    assert all(which_split(row["name"]) == row["split"] for row in rows)


@pytest.mark.shared_data
def test_real_recordings(recordings, tmp_path):
    """Every word of the 12-class task that has few clips, so that it is quick; the test set in full."""
    kind, root = find_layout(recordings)
    if kind != "packed":
        pytest.skip("needs the packed recordings")
    data = Data(
        source="speech_commands",
        task="keywords",
        keywords=("on", "off"),
        unknown=False,
        silence=0.1,
        path=str(recordings),
        max_clips_per_word=60,
    )
    dataset = prepare(data, tmp_path, tmp_path / "out")
    assert dataset.description == "Speech Commands, 40 % subset, at most 60 clips per word and split"
    assert dataset.info["counts"]["training"] == {"on": 60, "off": 60, SILENCE: 0}
    assert dataset.info["counts"]["testing"] == {"on": 60, "off": 60, SILENCE: 60}
    speakers = [set(dataset.split(name).speakers) - {""} for name in SPLITS]
    assert not speakers[0] & speakers[1] and not speakers[0] & speakers[2] and not speakers[1] & speakers[2]
    split = dataset.split("testing")
    row = split.words.index("on")
    with open(root / "manifest.csv", newline="") as file:
        place = next(item for item in csv.DictReader(file) if item["name"] == split.sources[row])
    whole, _ = soundfile.read(root / "audio" / f"{place['stream']}.flac", dtype="int16")
    start = 16000 * int(place["slot"])
    np.testing.assert_array_equal(
        split.audio[row][: int(place["samples"])], whole[start : start + int(place["samples"])]
    )
    assert all(5 < np.sqrt(np.mean(np.square(clip.astype(float)))) < 20000 for clip in split.audio[split.labels < 2])


@pytest.mark.shared_data
def test_official_12_class_test_set(recordings):
    kind, root = find_layout(recordings)
    if kind != "packed":
        pytest.skip("needs the packed recordings")
    data = Data(source="speech_commands", path=str(recordings))
    corpus, vocabulary = speech_commands.corpus(data, root, lambda *_: None)
    assert corpus.total == 31800 + 4213 + 2755
    with open(root / "manifest.csv", newline="") as file:
        wanted = Counter(
            vocabulary.label(row["word"]) for row in csv.DictReader(file) if row["stream"].endswith(".test12")
        )
    assert sum(wanted.values()) == 2755 and wanted[SILENCE] == 211 and wanted["yes"] == 243
