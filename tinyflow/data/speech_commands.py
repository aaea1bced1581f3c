"""Speech Commands (Warden 2018, arXiv:1804.03209): the official folder, or recordings packed into one stream per word
and split.

Official layout: <word>/<speaker>_nohash_<n>.wav (or .flac), _background_noise_/, testing_list.txt and
validation_list.txt; without the lists the hash rule of the data set's README decides.
Packed layout: manifest.csv (name, word, speaker, split, stream, slot, samples), audio/<stream>.flac or .opus with
every clip in a one-second slot, background/.
"""

import csv
import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tinyflow import recipe
from tinyflow.artefacts import atomic_folder, sha256
from tinyflow.data.audio import BadRecording, fit, load_clip
from tinyflow.data.background import SPLITS
from tinyflow.data.listing import BACKGROUND_FOLDER, audio_files, listing_fingerprint, read_background
from tinyflow.data.parallel import in_order
from tinyflow.data.store import SAMPLE_RATE, Clip, Corpus, Recording, check_listed, choose, clip_samples
from tinyflow.data.tasks import SILENCE, Task, make_task
from tinyflow.errors import TinyflowError
from tinyflow.progress import Progress

OFFICIAL_CLIPS = 105_829  # words in version 0.02
ARCHIVE = "speech_commands_v0.02"  # torchaudio's name for it
ARCHIVE_SHA256 = "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"  # as torchaudio publishes it
MAX_NUM_WAVS_PER_CLASS = 2**27 - 1  # the hash rule's modulus, from the data set's README
VALIDATION_PERCENTAGE = TESTING_PERCENTAGE = 10.0
NO_HASH = "_nohash_"
MANIFEST = "manifest.csv"
SLOT = 16000  # samples of a slot in a packed stream
LISTS = {"validation": "validation_list.txt", "testing": "testing_list.txt"}


def corpus(data: recipe.Data, base: Path, progress: Progress) -> tuple[Corpus, Task]:
    """The recordings of the recipe's task, from `data.path` or TINYFLOW_DATA, downloaded there when the recipe asks."""
    folder = recordings_folder(data, base)
    layout = find_layout(folder)
    if layout is None and data.download:
        download(folder, progress)
        layout = find_layout(folder)
    if layout is None:
        raise _missing(folder)
    kind, root = layout
    task = make_task(data)
    return (packed_corpus if kind == "packed" else official_corpus)(root, task, data), task


def source_fingerprint(data: recipe.Data, base: Path) -> dict[str, Any]:
    if data.download:  # what is downloaded is checked against this, so it need not be there yet
        return {"archive": ARCHIVE_SHA256}
    folder = recordings_folder(data, base)
    layout = find_layout(folder)
    if layout is None:
        raise _missing(folder)
    return {"layout": layout[0], **listing_fingerprint(layout[1])}


def recordings_folder(data: recipe.Data, base: Path) -> Path:
    """`data.path` (relative to the recipe), else TINYFLOW_DATA."""
    if data.path:
        return base / data.path
    if os.environ.get("TINYFLOW_DATA"):
        return Path(os.environ["TINYFLOW_DATA"])
    raise TinyflowError(
        "no Speech Commands recordings named: data.path is empty and TINYFLOW_DATA is not set",
        "give --data FOLDER, set TINYFLOW_DATA=FOLDER, or let tinyflow fetch them: --set data.path=FOLDER --set"
        " data.download=true (2.3 GB)",
    )


def _missing(folder: Path) -> TinyflowError:
    found = (
        "has no Speech Commands recordings (<word>/*_nohash_*.wav, or manifest.csv)"
        if folder.is_dir()
        else "is not a folder"
    )
    return TinyflowError(
        f"{folder} {found}",
        "give --data FOLDER, set TINYFLOW_DATA=FOLDER, or let tinyflow fetch them there: --set data.download=true"
        " (2.3 GB)",
    )


def find_layout(folder: Path) -> tuple[str, Path] | None:
    """("packed" or "official", its folder) when ``folder``, or a folder in it of the usual name,
    holds the recordings.
    """
    for root in (folder, folder / "speech_commands", folder / ARCHIVE, folder / "SpeechCommands" / ARCHIVE):
        if (root / MANIFEST).is_file() and (root / "audio").is_dir():
            return "packed", root
        if root.is_dir() and any(_is_word_folder(path) for path in sorted(root.iterdir())):
            return "official", root
    return None


def _is_word_folder(path: Path) -> bool:
    return path.is_dir() and any(NO_HASH in item.name for item in path.iterdir())


def which_split(name: str) -> str:
    """The official split of a file name: by SHA-1 of what stands before `_nohash_`, so that a speaker is in one split
    only.

    The rule of the data set's README (10 % validation, 10 % testing).
    """
    speaker = speaker_of(name)
    number = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % (MAX_NUM_WAVS_PER_CLASS + 1)
    percentage = number * (100.0 / MAX_NUM_WAVS_PER_CLASS)
    if percentage < VALIDATION_PERCENTAGE:
        return "validation"
    return "testing" if percentage < VALIDATION_PERCENTAGE + TESTING_PERCENTAGE else "training"


def speaker_of(name: str) -> str:
    return re.sub(r"_nohash_.*$", "", Path(name).name)


def describe(clips: int) -> str:
    """How accuracy names ``clips`` recordings: the share of version 0.02, to the nearest 5 % from 10 % up."""
    if clips >= OFFICIAL_CLIPS:
        return "Speech Commands v0.02"
    share = 100 * clips / OFFICIAL_CLIPS
    rounded = f"{min(5 * round(share / 5), 95)}" if share >= 10 else f"{share:.2g}"
    return f"Speech Commands, {rounded} % subset"


def official_corpus(root: Path, task: Task, data: recipe.Data) -> Corpus:
    listed: dict[str, str] = {}  # recording -> its split
    lists = False
    for split, name in LISTS.items():
        if (root / name).is_file():
            lists = True
            # Without suffix: recordings converted to FLAC keep the lists of the WAV archive.
            listed.update(
                (line.strip().rsplit(".", 1)[0], split)
                for line in (root / name).read_text().splitlines()
                if line.strip()
            )
    recordings, files, official = [], {}, 0
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        word = folder.name
        if word != SILENCE and not (word[0].isalnum() and _is_word_folder(folder)):
            continue
        for path in audio_files(folder):
            source = f"{word}/{path.name}"
            if word == SILENCE:  # clips of the official 12-class test; training makes its own silence
                split, speaker = "testing", ""
            elif NO_HASH in path.name:
                official += 1
                speaker = speaker_of(path.name)
                split = listed.get(f"{word}/{path.stem}", "training") if lists else which_split(path.name)
            else:
                continue
            if task.label(word) is not None:
                recordings.append(Recording(word, split, speaker, source))
                files[source] = path
    check_listed(recordings, task, describe(official))
    samples = clip_samples(data)

    def read(item: Recording) -> Clip:
        try:
            return Clip(item, *load_clip(files[item.source], SAMPLE_RATE, samples))
        except BadRecording as reason:
            return Clip(item, None, reason=str(reason))

    silence = _audio(map(read, [item for item in recordings if item.word == SILENCE]))
    noises, names, skipped = read_background(root / BACKGROUND_FOLDER, SAMPLE_RATE, data.seed, silence)
    recordings = choose(recordings, data.max_clips_per_word, data.seed)
    facts = {
        "kind": "speech_commands",
        "layout": "official",
        "clips": official,
        "official_clips": OFFICIAL_CLIPS,
        "split_by": "lists" if lists else "hash rule",
        "background": names,
    }
    return Corpus(describe(official), in_order(read, recordings), len(recordings), noises, facts, skipped)


def _audio(clips: Iterable[Clip]) -> np.ndarray | None:
    """The samples of those that could be read, int16 (N, samples)."""
    audio = [clip.audio for clip in clips if clip.audio is not None]
    return np.stack(audio) if audio else None


def packed_corpus(root: Path, task: Task, data: recipe.Data) -> Corpus:
    with open(root / MANIFEST, newline="") as file:
        reader = csv.DictReader(file)
        missing = {"name", "word", "speaker", "split", "stream", "slot", "samples"} - set(reader.fieldnames or ())
        if missing:
            raise TinyflowError(
                f"{root / MANIFEST} lacks the columns {', '.join(sorted(missing))}",
                "take the recordings' own manifest.csv",
            )
        rows = list(reader)
    official = sum(row["word"] != SILENCE for row in rows)
    recordings, places = [], {}
    for number, row in enumerate(rows, start=2):
        if row["split"] not in SPLITS or not (row["slot"].isdecimal() and row["samples"].isdecimal()):
            raise TinyflowError(
                f"{root / MANIFEST} line {number}: split {row['split']!r}, slot {row['slot']!r}, samples"
                f" {row['samples']!r}",
                "take the recordings' own manifest.csv",
            )
        # The official 12-class test set is the clips of the test12 streams, and no other test clip.
        other_test = task.name == "gsc12" and row["split"] == "testing" and not row["stream"].endswith(".test12")
        if task.label(row["word"]) is None or other_test:
            continue
        recordings.append(Recording(row["word"], row["split"], row["speaker"], row["name"]))
        places[row["name"]] = (row["stream"], int(row["slot"]), int(row["samples"]))
    check_listed(recordings, task, describe(official))
    samples = clip_samples(data)
    silence = _audio(_packed_clips(root, [item for item in recordings if item.word == SILENCE], places, samples))
    noises, names, skipped = read_background(root / "background", SAMPLE_RATE, data.seed, silence)
    recordings = choose(recordings, data.max_clips_per_word, data.seed)
    facts = {
        "kind": "speech_commands",
        "layout": "packed",
        "clips": official,
        "official_clips": OFFICIAL_CLIPS,
        "split_by": MANIFEST,
        "background": names,
    }
    return Corpus(
        describe(official), _packed_clips(root, recordings, places, samples), len(recordings), noises, facts, skipped
    )


def _packed_clips(
    root: Path, recordings: list[Recording], places: dict[str, tuple[str, int, int]], samples: int
) -> Iterator[Clip]:
    streams: dict[str, list[Recording]] = defaultdict(list)
    for item in recordings:
        streams[places[item.source][0]].append(item)

    def read(stream: str) -> list[Clip]:
        try:
            audio = _read_stream(root, stream)
        except BadRecording as reason:
            return [Clip(item, None, reason=str(reason)) for item in streams[stream]]
        clips = []
        for item in streams[stream]:
            _, slot, length = places[item.source]
            piece = audio[slot * SLOT : slot * SLOT + length]
            if not length or len(piece) < length:
                clips.append(Clip(item, None, reason=f"truncated: stream {stream} ends before it"))
            else:
                clip, change = fit(piece, samples)
                clips.append(Clip(item, clip, (change,) if change else ()))
        return clips

    for clips in in_order(read, sorted(streams), ahead=4):  # a stream decodes to 75 MB at most
        yield from clips


def _read_stream(root: Path, stream: str) -> np.ndarray:
    """int16 samples of a stream; int16 by libsndfile's own conversion, so that they equal an unpacked folder's."""
    import soundfile

    path = next(
        (
            root / "audio" / f"{stream}{suffix}"
            for suffix in (".flac", ".opus")
            if (root / "audio" / f"{stream}{suffix}").is_file()
        ),
        None,
    )
    if path is None:
        raise BadRecording(f"no stream: audio/{stream}.flac or .opus")
    try:
        audio, rate = soundfile.read(path, dtype="int16")
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise BadRecording(f"unreadable stream {stream}: {error}") from None
    if rate != SAMPLE_RATE or audio.ndim != 1:
        raise BadRecording(f"stream {stream} is not {SAMPLE_RATE} Hz mono")
    return audio


def download(folder: Path, progress: Progress) -> None:
    """The official archive, through torchaudio, checked by its SHA-256 and unpacked into ``folder``, whole or not at
    all.
    """
    if folder.exists() and any(folder.iterdir()):
        raise TinyflowError(
            f"{folder} is not empty and holds no Speech Commands recordings",
            "name an empty or a new folder for the download",
        )
    progress("download", 0, 0, "Speech Commands v0.02, 2.3 GB")
    with atomic_folder(folder) as temporary:
        archive = temporary / f"{ARCHIVE}.tar.gz"
        try:
            fetch(temporary)
        except (OSError, RuntimeError) as error:  # urllib's errors are OSErrors; torch's hash check raises RuntimeError
            raise TinyflowError(
                f"cannot download Speech Commands: {error}",
                "check the network connection, or fetch the archive elsewhere, unpack it and give --data FOLDER",
            ) from None
        found = sha256(archive)
        if found != ARCHIVE_SHA256:
            raise TinyflowError(
                f"the downloaded {archive.name} has SHA-256 {found}, not {ARCHIVE_SHA256}",
                "try again; if it persists, the archive was changed or damaged on the way",
            )
        archive.unlink()
    progress("download", 1, 1)


def fetch(root: Path) -> None:
    """torchaudio downloads and unpacks: <root>/<archive>.tar.gz and <root>/SpeechCommands/<archive>/."""
    from torchaudio.datasets import SPEECHCOMMANDS

    SPEECHCOMMANDS(root, url=ARCHIVE, download=True)
