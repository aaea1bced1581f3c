"""Dataset: the clips of one task, in three splits, as training and evaluation read them."""

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tinyflow.artefacts import read_json
from tinyflow.data.background import SPLITS, cut_silence
from tinyflow.data.vocabulary import SILENCE, UNKNOWN
from tinyflow.errors import TinyflowError

FORMAT = 1
SILENCE_ROW = -1  # a row that is cut from background noise when it is asked for
MAX_REPEATS = 4  # a scarce keyword is heard at most so often in an epoch


@dataclass(frozen=True)
class Split:
    """Clips of one split; ``audio`` is memory-mapped."""

    audio: np.ndarray  # int16 (N, samples)
    labels: np.ndarray  # int64 (N,), indices into Dataset.labels
    words: tuple[str, ...]  # what was said; "_silence_" for background noise
    speakers: tuple[str, ...]  # "" where nobody speaks or nobody knows
    sources: tuple[str, ...]  # the file each clip was read from

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Epoch:
    """One pass over training, shuffled."""

    audio_rows: np.ndarray  # int64 (M,): rows of the training split, -1 for silence
    labels: np.ndarray  # int64 (M,)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Summary:
    """What ``tinyflow data`` shows of a dataset."""

    description: str  # which recordings
    task: str
    labels: tuple[str, ...]
    counts: dict[str, dict[str, int]]  # split -> label -> clips
    speakers: dict[str, int]  # split -> how many
    clips: dict[str, int]  # split -> how many
    sample_rate: int  # Hz
    samples: int  # of a clip
    silence: float  # share of a training epoch
    changes: dict[str, int]  # what was done to recordings, and to how many
    source: dict[str, Any]  # what the source says of itself
    warnings: tuple[str, ...]
    fingerprint: str
    skipped: int  # recordings that cannot be used
    skipped_reasons: dict[str, int]
    skipped_files: tuple[str, ...]  # the first ten, each with its reason
    bytes: int  # of the folder
    folder: Path


class Dataset:
    """What a data folder holds. Nothing but small tables is read until it is asked for."""

    def __init__(self, folder: Path, info: dict[str, Any]):
        self.folder = folder
        self.info = info
        self.labels: tuple[str, ...] = tuple(info["labels"])
        self.task: str = info["task"]
        self.sample_rate: int = info["sample_rate"]  # Hz
        self.samples: int = info["samples"]  # per clip
        self.description: str = info["description"]
        self.fingerprint: str = info["fingerprint"]
        self._splits: dict[str, Split] = {}

    def split(self, name: str) -> Split:
        """The split "training", "validation" or "testing" (which only evaluation reads)."""
        if name not in SPLITS:
            raise TinyflowError(f"no split {name!r}", f"splits: {', '.join(SPLITS)}")
        if name not in self._splits:
            self._splits[name] = self._read_split(name)
        return self._splits[name]

    def _read_split(self, name: str) -> Split:
        hint = "delete the folder and run `tinyflow data` again"
        try:
            audio = np.load(self.folder / f"{name}.npy", mmap_mode="r")
            with open(self.folder / f"{name}.csv", newline="") as file:
                rows = list(csv.DictReader(file))
        except (OSError, ValueError) as error:
            raise TinyflowError(f"{self.folder}/{name}.npy or .csv cannot be read: {error}", hint) from None
        if audio.shape != (len(rows), self.samples) or audio.dtype != np.int16:
            raise TinyflowError(
                f"{self.folder}/{name}.npy is {audio.dtype} {audio.shape}, {name}.csv wants int16"
                f" {(len(rows), self.samples)}",
                hint,
            )
        index = {label: number for number, label in enumerate(self.labels)}
        labels = np.array([index[row["label"]] for row in rows], np.int64)
        columns = (tuple(row[key] for row in rows) for key in ("word", "speaker", "source"))
        return Split(audio, labels, *columns)

    @cached_property
    def background(self) -> list[np.ndarray]:
        """Background noise that training may hear, int16, one array a recording."""
        with np.load(self.folder / "background.npz") as file:
            return [file[name] for name in sorted(file.files)]

    def training_epoch(self, epoch: int, seed: int) -> Epoch:
        """The clips of one epoch, a function of ``epoch`` and ``seed`` alone.

        Without a class ``_unknown_``: every training clip once. With it: ``_unknown_`` is drawn anew to the mean
        number of clips of the keywords, and a keyword that has fewer clips than that mean is repeated up to it,
        at most four times. Silence is a share of the epoch, as rows of -1. Balance is in training only.
        """
        labels = self.split("training").labels
        rng = np.random.default_rng([seed, epoch])
        rows = [np.flatnonzero(labels == index) for index in range(len(self.labels))]
        if UNKNOWN in self.labels:
            unknown = self.labels.index(UNKNOWN)
            keywords = [index for index, label in enumerate(self.labels) if label not in (SILENCE, UNKNOWN)]
            mean = round(float(np.mean([len(rows[index]) for index in keywords])))
            rows[unknown] = _draw(rows[unknown], mean, rng)
            for index in keywords:
                rows[index] = _draw(rows[index], max(len(rows[index]), min(mean, MAX_REPEATS * len(rows[index]))), rng)
        if SILENCE in self.labels:
            share = self.info["silence"]
            others = sum(map(len, rows))
            rows[self.labels.index(SILENCE)] = np.full(round(others * share / (1 - share)), SILENCE_ROW)
        answers = np.concatenate([np.full(len(part), index) for index, part in enumerate(rows)])
        order = rng.permutation(len(answers))
        return Epoch(np.concatenate(rows)[order].astype(np.int64), answers[order].astype(np.int64))

    def clip(self, rows: int | np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Training clips by row, int16 (len(rows), samples), or (samples,) for a single row; -1 is fresh silence."""
        wanted = np.atleast_1d(np.asarray(rows, np.int64))
        audio = np.empty((len(wanted), self.samples), np.int16)
        spoken = wanted != SILENCE_ROW
        audio[spoken] = self.split("training").audio[wanted[spoken]]
        for place in np.flatnonzero(~spoken):
            audio[place] = cut_silence(self.background, self.samples, rng)
        return audio[0] if np.ndim(rows) == 0 else audio

    def summary(self) -> Summary:
        info, skipped = self.info, self.info["skipped"]
        reasons: dict[str, int] = {}
        for item in skipped:
            kind = item["reason"].partition(":")[0]
            reasons[kind] = reasons.get(kind, 0) + 1
        same = ("counts", "speakers", "clips", "silence", "changes", "source")
        return Summary(
            description=self.description,
            task=self.task,
            labels=self.labels,
            sample_rate=self.sample_rate,
            samples=self.samples,
            warnings=tuple(info["warnings"]),
            fingerprint=self.fingerprint,
            skipped=len(skipped),
            skipped_reasons=reasons,
            skipped_files=tuple(f"{item['file']}: {item['reason']}" for item in skipped[:10]),
            bytes=sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file()),
            folder=self.folder,
            **{key: info[key] for key in same},
        )


def _draw(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """``count`` of ``rows``: each as often as the others, the remainder by lot."""
    if not len(rows):
        return rows
    whole, rest = divmod(count, len(rows))
    return np.concatenate([np.tile(rows, whole), rng.choice(rows, rest, replace=False)])


def load_dataset(folder: Path | str) -> Dataset:
    """The dataset in ``folder``, as `prepare` wrote it."""
    folder = Path(folder)
    info = read_json(folder / "dataset.json")
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        found = info.get("format") if isinstance(info, dict) else type(info).__name__
        raise TinyflowError(
            f"{folder / 'dataset.json'} has format {found!r}",
            f"this tinyflow reads format {FORMAT}: run `tinyflow data` again",
        )
    return Dataset(folder, info)
