"""Own words: any folder per label, split by speaker."""

import shutil

import numpy as np
import pytest
import soundfile

from tinyflow.data import prepare, source_fingerprint
from tinyflow.data.background import SPLITS
from tinyflow.data.folder import split_groups
from tinyflow.data.vocabulary import SILENCE, UNKNOWN
from tinyflow.errors import TinyflowError
from tinyflow.recipe import Data

PEOPLE = ("anna", "ben", "chris", "dora", "emil", "fay", "gus", "hana")


@pytest.fixture
def words(tmp_path, write):
    """hello, lamp and other by eight people, two clips each, in several formats, rates and lengths."""
    root = tmp_path / "my_words"
    for word in ("hello", "lamp", "other"):
        for index, person in enumerate(PEOPLE):
            write(root / word / f"{person}_0.wav")
            write(
                root / word / f"{person}_1.{('flac', 'ogg', 'mp3', 'wav')[index % 4]}",
                samples=(30000, 44100)[index % 2],
                rate=(16000, 44100)[index % 2],
                channels=1 + (index == 1),
            )
    return root


def data(**changes):
    return Data(
        **{
            "source": "folder",
            "path": "my_words",
            "task": "keywords",
            "silence": 0.0,
            "speaker_pattern": r"^([a-z]+)_",
            **changes,
        }
    )


def test_every_folder_is_a_class(words, tmp_path):
    dataset = prepare(data(), tmp_path, tmp_path / "out")
    assert dataset.labels == ("hello", "lamp", "other") and dataset.description == "own words (my_words)"
    speakers = [set(dataset.split(name).speakers) for name in SPLITS]
    assert set.union(*speakers) == set(PEOPLE) and sum(map(len, speakers)) == len(PEOPLE)
    assert sum(len(dataset.split(name)) for name in SPLITS) == 48
    # mp3 files of 44.1 kHz keep their length; four people recorded 30,000 samples of 16 kHz
    changes = dataset.info["changes"]
    assert changes["resampled"] == 12 and changes["mixed_down"] == 3 and changes["cut"] >= 12
    assert any("fewer than 50 clips of hello (16)" in warning for warning in dataset.info["warnings"])
    assert not any("split by file" in warning for warning in dataset.info["warnings"])


def test_keywords_and_unknown_and_silence(words, tmp_path, write):
    write(words / "_background_noise_" / "fan.flac", samples=100000, rate=22050)
    dataset = prepare(data(keywords=("lamp",), silence=0.1), tmp_path, tmp_path / "out")
    assert dataset.labels == ("lamp", SILENCE, UNKNOWN)
    assert set(dataset.split("training").words) == {"hello", "lamp", "other"}
    assert dataset.info["source"]["background"] == ["fan.flac"] and len(dataset.background) == 1
    assert dataset.info["counts"]["testing"][SILENCE] > 0
    without = prepare(data(keywords=("lamp", "hello"), unknown=False), tmp_path, tmp_path / "without")
    assert without.labels == ("lamp", "hello") and set(without.split("training").words) == {"hello", "lamp"}


def test_own_words_under_the_default_task_may_do_without_silence(words, tmp_path):
    assert "_silence_" not in prepare(data(task="gsc12", silence=0.0), tmp_path, tmp_path / "out").labels


def test_another_task_than_the_folder_has(words, tmp_path):
    """`tinyflow data --data my_words/` with the demo's recipe."""
    dataset = prepare(data(task="gsc12", silence=0.1), tmp_path, tmp_path / "out")
    assert dataset.task == "keywords" and dataset.labels == ("hello", "lamp", "other", SILENCE)
    assert any("every folder is a class" in warning for warning in dataset.info["warnings"])
    assert dataset.info["source"]["background"] == ["white, pink and brown noise, generated"]


def test_split_by_file_warns(words, tmp_path):
    dataset = prepare(data(speaker_pattern=""), tmp_path, tmp_path / "out")
    assert any("split by file" in warning for warning in dataset.info["warnings"])
    assert all(count > 0 for split in SPLITS for count in dataset.info["counts"][split].values())


def test_speaker_csv(words, tmp_path):
    lines = ["file,speaker"]
    for path in sorted(words.glob("*/*")):  # two people share a voice
        person = path.name.split("_")[0]
        lines.append(f"{path.parent.name}/{path.name},{'anna' if person == 'ben' else person}")
    (tmp_path / "speakers.csv").write_text("\n".join(lines) + "\n")
    given = data(speaker_pattern="", speaker_csv="speakers.csv")
    dataset = prepare(given, tmp_path, tmp_path / "out")
    speakers = [set(dataset.split(name).speakers) for name in SPLITS]
    assert set.union(*speakers) == set(PEOPLE) - {"ben"} and sum(map(len, speakers)) == 7
    before = source_fingerprint(given, tmp_path)
    (tmp_path / "speakers.csv").write_text("\n".join(lines[:-1]) + "\n")
    assert source_fingerprint(given, tmp_path) != before
    assert any(
        "1 files have no speaker" in warning for warning in prepare(given, tmp_path, tmp_path / "out").info["warnings"]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,who\na,b\n", "columns"),
        ("", "columns of an empty file"),
        ("file,speaker\na.wav,x\na.wav,y\n", "more than once"),
    ],
)
def test_speaker_csv_refused(words, tmp_path, text, message):
    (tmp_path / "speakers.csv").write_text(text)
    with pytest.raises(TinyflowError, match=message):
        prepare(data(speaker_csv="speakers.csv"), tmp_path, tmp_path / "out")


def test_broken_files_are_named(words, tmp_path, write):
    good = (words / "hello" / "anna_0.wav").read_bytes()
    (words / "hello" / "zed_0.wav").write_bytes(good[:5000])
    (words / "hello" / "zed_1.wav").write_text("not audio")
    (words / "hello" / "zed_2.wav").write_bytes(b"")
    (words / "hello" / "notes.txt").write_text("remember the milk")
    (words / "hello" / ".DS_Store").write_bytes(b"x")
    (words / "empty").mkdir()
    (words / "_old").mkdir()
    soundfile.write(words / "lamp" / "zed_0.wav", np.zeros(16000), 16000)
    dataset = prepare(data(), tmp_path, tmp_path / "out")
    skipped = {item["file"]: item["reason"] for item in dataset.info["skipped"]}
    assert set(skipped) == {
        "hello/zed_0.wav",
        "hello/zed_1.wav",
        "hello/zed_2.wav",
        "hello/notes.txt",
        "empty/",
        "_old/",
        "lamp/zed_0.wav",
    }
    assert skipped["lamp/zed_0.wav"] == "digital silence" and skipped["hello/zed_2.wav"] == "empty file"
    assert dataset.labels == ("hello", "lamp", "other")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": ""}, "data.path is empty"),
        ({"path": "gone"}, "is not a folder"),
        ({"keywords": ("hello", "nope")}, "no folder for the keywords nope"),
        ({"keywords": ("hello", "lamp", "other")}, "no other word"),
        ({"speaker_pattern": "("}, "no regular expression"),
        ({"speaker_pattern": "[a-z]+"}, "has no group"),
        ({"speaker_csv": "gone.csv"}, "cannot read"),
        ({"keywords": ("hello",), "unknown": False}, "a single class"),
    ],
)
def test_refused(words, tmp_path, changes, message):
    with pytest.raises(TinyflowError, match=message):
        prepare(data(**changes), tmp_path, tmp_path / "out")


def test_folder_without_recordings(tmp_path):
    (tmp_path / "my_words" / "hello").mkdir(parents=True)
    with pytest.raises(TinyflowError, match="no folder with recordings"):
        prepare(data(), tmp_path, tmp_path / "out")


def test_too_few_speakers(words, tmp_path):
    for person in PEOPLE[2:]:
        for path in words.glob(f"*/{person}_*"):
            path.unlink()
    with pytest.raises(TinyflowError, match="no (testing|validation) clip of"):
        prepare(data(), tmp_path, tmp_path / "out")


def test_moved_tree_gives_the_same_dataset(words, tmp_path):
    first = prepare(data(), tmp_path, tmp_path / "out")
    shutil.copytree(words, tmp_path / "elsewhere" / "my_words")
    assert prepare(data(), tmp_path / "elsewhere", tmp_path / "out2").fingerprint == first.fingerprint


def test_split_of_groups():
    groups = {f"w{word}/{person}_{n}": f"p{person}" for word in range(3) for person in range(200) for n in range(2)}
    labels = {file: file.split("/")[0] for file in groups}
    split = split_groups(groups, labels)
    share = {name: sum(where == name for where in split.values()) / len(split) for name in SPLITS}
    assert abs(share["validation"] - 0.1) < 0.06 and abs(share["testing"] - 0.1) < 0.06
    for person in range(200):
        assert len({split[file] for file, group in groups.items() if group == f"p{person}"}) == 1
    # adding recordings moves no one
    more = {**groups, "w0/new": "somebody"}
    assert {
        file: where for file, where in split_groups(more, {**labels, "w0/new": "w0"}).items() if file in groups
    } == split
    # three speakers suffice for three splits
    assert set(
        split_groups({"a/1": "x", "a/2": "y", "a/3": "z"}, dict.fromkeys(("a/1", "a/2", "a/3"), "a")).values()
    ) == set(SPLITS)
