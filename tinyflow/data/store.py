"""Writing a dataset folder: what every source hands over, and what is counted, checked and named on the way."""

import csv
import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinyflow import recipe
from tinyflow.artefacts import atomic_folder, fingerprint, write_json
from tinyflow.data.background import SPLITS, Noises, cut_silence
from tinyflow.data.dataset import FORMAT, Dataset, load_dataset
from tinyflow.data.vocabulary import SILENCE, UNKNOWN, Vocabulary
from tinyflow.errors import TinyflowError
from tinyflow.progress import Progress

SAMPLE_RATE = 16000  # Hz: the front end's
FEW = 50  # clips a class below which recognition is a matter of luck
CHANGES = ("resampled", "mixed_down", "cut", "padded")


@dataclass(frozen=True)
class Recording:
    """One word spoken once, before it is read."""

    word: str
    split: str
    speaker: str
    source: str  # how dataset files name it: a path below the recordings' folder


@dataclass(frozen=True)
class Clip:
    """A recording that was read: int16 (samples,), or None and the reason why not."""

    recording: Recording
    audio: np.ndarray | None
    changes: Sequence[str] = ()  # of CHANGES
    reason: str = ""


@dataclass
class Corpus:
    """What a source hands over. ``clips`` come in a fixed order and are read while they are iterated."""

    description: str
    clips: Iterable[Clip]
    total: int  # clips to come
    background: Noises
    source: dict[str, Any]  # facts about the source for dataset.json
    skipped: list[dict[str, str]] = field(default_factory=list)  # {"file", "reason"}
    warnings: list[str] = field(default_factory=list)


def choose(recordings: list[Recording], limit: int, seed: int) -> list[Recording]:
    """At most ``limit`` recordings per word and split, by a seeded choice; all when ``limit`` is 0. Order is kept."""
    if not limit:
        return recordings
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, item in enumerate(recordings):
        groups[item.word, item.split].append(index)
    kept: set[int] = set()
    for (word, split), indices in groups.items():
        salt = int.from_bytes(hashlib.sha256(f"{word}/{split}".encode()).digest()[:4], "little")
        rng = np.random.default_rng([seed, salt])
        kept.update(indices if len(indices) <= limit else rng.choice(indices, limit, replace=False).tolist())
    return [item for index, item in enumerate(recordings) if index in kept]


class _Rows:
    """One split on its way to disk: <split>.npy grows row by row, <split>.csv beside it."""

    def __init__(self, folder: Path, split: str, samples: int):
        self.samples, self.count, self.digest = samples, 0, hashlib.sha256()
        self.audio = open(folder / f"{split}.npy", "wb")
        self.table = open(folder / f"{split}.csv", "w", newline="")
        self.csv = csv.writer(self.table, lineterminator="\n")
        self.csv.writerow(["row", "label", "word", "speaker", "source"])
        self._header()

    def _header(self) -> None:
        """numpy pads the header so that the first dimension may grow in place."""
        self.audio.seek(0)
        np.lib.format.write_array_header_1_0(
            self.audio, {"descr": "<i2", "fortran_order": False, "shape": (self.count, self.samples)}
        )

    def add(self, label: str, recording: Recording, audio: np.ndarray) -> bytes:
        """Appends a clip; the digest of its samples."""
        data = np.ascontiguousarray(audio, "<i2").tobytes()
        row = [self.count, label, recording.word, recording.speaker, recording.source]
        self.audio.write(data)
        self.csv.writerow(row)
        content = hashlib.sha256(data).digest()
        self.digest.update(content + repr(row).encode())
        self.count += 1
        return content

    def close(self) -> None:
        self._header()
        for file in (self.audio, self.table):
            file.flush()
            os.fsync(file.fileno())
            file.close()


def write_dataset(corpus: Corpus, vocabulary: Vocabulary, data: recipe.Data, out: Path, progress: Progress) -> Dataset:
    """Writes ``out`` (atomically) and loads it. TinyflowError when a class is broken or lacks clips in a split."""
    samples = clip_samples(data)
    with atomic_folder(out) as folder:
        rows = {split: _Rows(folder, split, samples) for split in SPLITS}
        try:
            info = _fill(rows, corpus, vocabulary, data, progress)
        finally:
            for split in rows.values():
                split.close()
        noises = corpus.background["training"]
        np.savez(folder / "background.npz", **{f"noise_{index:03d}": audio for index, audio in enumerate(noises)})
        info["clips"] = {split: rows[split].count for split in SPLITS}
        background = hashlib.sha256(b"".join(audio.tobytes() for audio in noises)).hexdigest()
        content = {split: rows[split].digest.hexdigest() for split in SPLITS}
        info["fingerprint"] = fingerprint(
            [FORMAT, info["task"], info["labels"], info["silence"], SAMPLE_RATE, samples, content, background]
        )
        write_json(folder / "dataset.json", info)
    return load_dataset(out)


def clip_samples(data: recipe.Data) -> int:
    return round(data.clip_seconds * SAMPLE_RATE)


def _fill(
    rows: dict[str, _Rows], corpus: Corpus, vocabulary: Vocabulary, data: recipe.Data, progress: Progress
) -> dict[str, Any]:
    """Reads all clips into ``rows``, adds silence, checks, and says what dataset.json says."""
    counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    speakers: dict[str, set[str]] = {split: set() for split in SPLITS}
    seen: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    changes = Counter(dict.fromkeys(CHANGES, 0))
    first_split: dict[bytes, str] = {}
    twice = 0
    reasons: dict[str, str] = {}
    for done, clip in enumerate(corpus.clips, start=1):
        item = clip.recording
        label = vocabulary.label(item.word)
        assert label is not None, item
        seen[label] += 1
        if clip.audio is None:
            broken[label] += 1
            reasons.setdefault(label, f"{item.source}: {clip.reason}")
            corpus.skipped.append({"file": item.source, "reason": clip.reason})
            continue
        content = rows[item.split].add(label, item, clip.audio)
        twice += first_split.setdefault(content, item.split) != item.split
        counts[item.split][label] += 1
        changes.update(clip.changes)
        if item.speaker:
            speakers[item.split].add(item.speaker)
        if done % 100 == 0 or done == corpus.total:
            progress("clips", done, corpus.total)

    for label, count in broken.items():
        if 2 * count > seen[label]:
            raise TinyflowError(
                f"{count} of {seen[label]} recordings of class {label!r} cannot be used, for example {reasons[label]}",
                "mend or remove those files and run `tinyflow data` again",
            )
    if vocabulary.silence:
        _add_silence(rows, counts, corpus.background, vocabulary, data.seed)
    _check_classes(counts, vocabulary, corpus)
    if twice:
        corpus.warnings.append(
            f"{twice} clips occur, sample for sample, in two splits: accuracy will look better than it is"
        )
    shared = set.union(
        *(
            speakers[a] & speakers[b]
            for a, b in (("training", "validation"), ("training", "testing"), ("validation", "testing"))
        )
    )
    if shared:
        corpus.warnings.append(f"{len(shared)} speakers are in two splits, for example {sorted(shared)[0]}")
    description = data.description or corpus.description
    if data.max_clips_per_word and not data.description:
        description += f", at most {data.max_clips_per_word} clips per word and split"
    return {
        "format": FORMAT,
        "description": description,
        "task": vocabulary.name,
        "labels": list(vocabulary.labels),
        "silence": vocabulary.silence,
        "sample_rate": SAMPLE_RATE,
        "samples": clip_samples(data),
        "counts": {split: {label: counts[split][label] for label in vocabulary.labels} for split in SPLITS},
        "speakers": {split: len(speakers[split]) for split in SPLITS},
        "changes": dict(changes),
        "skipped": corpus.skipped,
        "warnings": corpus.warnings,
        "source": corpus.source,
    }


def _add_silence(
    rows: dict[str, _Rows], counts: dict[str, Counter[str]], background: Noises, vocabulary: Vocabulary, seed: int
) -> None:
    """As many silence clips as the mean keyword has, in validation and testing, where the recordings bring none.

    Training makes its silence anew in every epoch.
    """
    for index, split in enumerate(SPLITS):
        if split == "training" or counts[split][SILENCE]:
            continue
        rng = np.random.default_rng([seed, 0x51, index])
        wanted = max(1, round(sum(counts[split][word] for word in vocabulary.keywords) / len(vocabulary.keywords)))
        for number in range(wanted):
            item = Recording(SILENCE, split, "", f"background/{split}/{number}")
            rows[split].add(SILENCE, item, cut_silence(background[split], rows[split].samples, rng))
        counts[split][SILENCE] = wanted


def check_listed(recordings: Iterable[Recording], vocabulary: Vocabulary, description: str) -> None:
    """TinyflowError when no recording of a class is listed for a split: better before minutes of
    decoding than after.
    """
    counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    for item in recordings:
        label = vocabulary.label(item.word)
        assert label is not None, item
        counts[item.split][label] += 1
    if any(sum(count.values()) for count in counts.values()):
        _check_splits(counts, vocabulary, description, made=SPLITS)


def _check_splits(
    counts: dict[str, Counter[str]], vocabulary: Vocabulary, description: str, made: Sequence[str]
) -> None:
    """``made``: splits whose silence is made, not recorded."""
    for split in SPLITS:
        missing = [
            label
            for label in vocabulary.labels
            if not counts[split][label] and not (label == SILENCE and split in made)
        ]
        if missing:
            there = [word for word in vocabulary.keywords if all(counts[each][word] for each in SPLITS)]
            way_out = (
                f"these words can be learned from these recordings: data.task=keywords, data.keywords={there}"
                if there
                else "record more clips, by more speakers"
            )
            raise TinyflowError(f"no {split} clip of {', '.join(missing)} in these recordings ({description})", way_out)


def _check_classes(counts: dict[str, Counter[str]], vocabulary: Vocabulary, corpus: Corpus) -> None:
    """Every class needs a clip in every split; few clips are worth a warning."""
    if not any(sum(count.values()) for count in counts.values()):
        raise TinyflowError(
            f"no usable recording of the task {vocabulary.name}",
            "check data.path: one folder per word, with WAV, FLAC, OGG or MP3 files",
        )
    _check_splits(counts, vocabulary, corpus.description, made=("training",))
    total = {label: sum(counts[split][label] for split in SPLITS) for label in vocabulary.labels if label != SILENCE}
    few = [f"{label} ({count})" for label, count in total.items() if count < FEW]
    if few:
        names = ", ".join(few[:8]) + (f" and {len(few) - 8} more" if len(few) > 8 else "")
        corpus.warnings.append(
            f"fewer than {FEW} clips of {names}: expect poor recognition; {UNKNOWN} and augmentation help little there"
        )
