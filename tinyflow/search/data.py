"""What a search reads: batches of features for every front end, computed once and kept on the device.

Training clips, validation and the held-out part of it; the test split is never opened. There is no augmentation in the
search (the paper's uses none), so features are cached. Everything is a function of (seed, epoch, step).
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tinyflow.data.dataset import SILENCE_ROW
from tinyflow.data.vocabulary import SILENCE, UNKNOWN
from tinyflow.errors import TinyflowError
from tinyflow.frontend.mel.bank import FeatureBank
from tinyflow.frontend.protocol import FrontEnd
from tinyflow.frontend.scaler import STD_FLOOR, Scaler
from tinyflow.progress import Progress, silent
from tinyflow.recipe import Search
from tinyflow.search.world import World

CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")  # bytes, or "max"
CUT = 0  # seed of what is held out: searches of every seed are compared on the same clips
CHUNK = 256  # clips per call of the feature bank: 16 MB of audio
Storage = Literal["float32", "float16", "waveforms"]


@dataclass(frozen=True)
class Batch:
    """This process's share of a batch of ``total`` clips, on the device."""

    features: tuple[Tensor | None, ...]  # per configuration float32 (n, frames, features), scaled; None: not kept
    labels: Tensor  # int64 (n,)
    total: int  # clips of the global batch
    waveforms: Tensor | None = None  # float32 (n, samples), when asked for


class SearchData:
    """Batches of ``dataset`` for the front ends ``configs``.

    Features are kept as float32 when they take at most a quarter of the device's memory, as float16 when at most half
    (a value is then off by less than 1 % of its standard deviation); else waveforms are kept, int16, and features
    computed for every batch. The choice looks at the memory that is built in, not at what is free, so that a resumed
    search makes it again; ``storage`` overrides it. Table 1 has 45,840 values a clip: 85,000 training clips with their
    silence and validation, 103,000 in all, take 18.9 GB in float32 (an H200 has 150), 9.4 GB in float16, 3.3 GB as
    waveforms.

    Silence that training wants (row -1) is drawn from a pool: the silence of epoch 0, on which the scalers are fitted.
    Validation is cut in two, by speakers where they are known and stratified by label: ``held_out`` of it for
    ``proxy``, the rest for ``validation``. ``waveforms``: batches bring their waveforms too.
    """

    def __init__(
        self, dataset, configs: Sequence[FrontEnd], config: Search, device: torch.device | str,
        progress: Progress = silent, world: World = World(), waveforms: bool = False, storage: Storage | None = None,
    ):  # fmt: skip
        self.dataset, self.configs, self.config = dataset, tuple(configs), config
        self.device, self.world, self.seed = torch.device(device), world, config.seed
        self.classes = len(dataset.labels)
        self.kept: tuple[int, ...] = tuple(range(len(self.configs)))
        for front_end in self.configs:
            if front_end.sample_rate != dataset.sample_rate:
                wrong = (
                    f"front end {front_end.name} is for {front_end.sample_rate} Hz, the clips have"
                    f" {dataset.sample_rate} Hz"
                )
                raise TinyflowError(wrong, "front ends and data share one sample rate")

        first = dataset.training_epoch(0, self.seed)
        if len(first) < 2:
            raise TinyflowError("there are fewer than 2 training clips", "check the data stage: tinyflow data")
        # the clips that do not fill a batch wait for another epoch
        self.steps = max(1, len(first) // config.batch_size)
        validation = dataset.split("validation")
        rows = balanced(validation.labels, dataset.labels, CUT)
        parts = split_validation(
            validation.labels[rows], [validation.speakers[row] for row in rows], config.held_out, CUT
        )
        self.search_rows, self.held_out_rows = (rows[part] for part in parts)
        self._validation_labels = self._tensor(validation.labels)
        self._epoch: tuple[int, Tensor, Tensor] | None = None
        self._passes: dict[int, Tensor] = {}

        spoken = dataset.split("training").audio
        silence = dataset.clip(
            np.full(int((first.audio_rows == SILENCE_ROW).sum()), SILENCE_ROW), np.random.default_rng([self.seed, 0])
        )
        self._spoken, self._silent = len(spoken), len(silence)
        values = sum(int(np.prod((item.frames(dataset.samples), item.features))) for item in self.configs)
        self.storage: Storage = storage or choose_storage(
            (len(spoken) + len(silence) + len(validation)) * values, self.device, world
        )
        self.bank = FeatureBank(self.configs).to(self.device)
        audio = (spoken, silence, validation.audio)
        # repeats of a clip in epoch 0
        heard = np.bincount(np.maximum(first.audio_rows, 0), first.audio_rows >= 0, len(spoken))
        self._audio = self._upload(audio) if waveforms or self.storage == "waveforms" else None
        self._give_waveforms = waveforms
        self._features: list[Tensor | None] = [None] * len(self.configs)
        self.scalers = self._compute(
            audio, np.concatenate([heard, np.ones(len(silence)), np.zeros(len(validation))]), progress
        )
        self._scales = [tuple(torch.from_numpy(part).to(self.device) for part in (s.mean, s.std)) for s in self.scalers]
        self._scale_in_place()

    # --- batches

    def training(self, epoch: int, step: int) -> Batch:
        """Batch ``step`` (0 to steps - 1) of ``epoch``."""
        if self._epoch is None or self._epoch[0] != epoch:
            order = self.dataset.training_epoch(epoch, self.seed)
            rows, silence = order.audio_rows.copy(), order.audio_rows == SILENCE_ROW
            rows[silence] = self._spoken + np.random.default_rng([self.seed, epoch, 1]).integers(
                max(1, self._silent), size=silence.sum()
            )
            self._epoch = epoch, self._tensor(rows), self._tensor(order.labels)
        _, rows, labels = self._epoch
        part = slice(step * self.config.batch_size, (step + 1) * self.config.batch_size)
        return self._batch(rows[part], labels[part])

    def validation(self, step: int) -> Batch:
        """Batch ``step`` of the whole search: the search's part of validation again and again, reshuffled each pass."""
        count = len(self.search_rows)
        size = min(self.config.batch_size, count)
        rows, position = [], step * size
        while position < (step + 1) * size:
            number, start = divmod(position, count)
            rows.append(self._pass(number)[start : start + (step + 1) * size - position])
            position += len(rows[-1])
        return self._of_validation(torch.cat(rows))

    def proxy(self) -> Iterator[Batch]:
        """The held-out part of validation, once, in batches of nearly equal size: none is empty for any process."""
        rows = self._tensor(self.held_out_rows)
        for part in rows.tensor_split(-(-len(rows) // self.config.batch_size)):
            yield self._of_validation(part)

    def recalibration(self, batches: int) -> Iterator[Batch]:
        """The first training batches, at most an epoch of them: for the statistics of batch norm."""
        for step in range(min(batches, self.steps)):
            yield self.training(0, step)

    def keep(self, indices: Sequence[int]) -> None:
        """From now on only these configurations have features; the memory of the others is freed."""
        if not set(indices) <= set(self.kept):
            raise ValueError(f"{sorted(indices)} are not among the configurations kept, {list(self.kept)}")
        self.kept = tuple(sorted(indices))
        self._features = [value if index in self.kept else None for index, value in enumerate(self._features)]

    def _pass(self, number: int) -> Tensor:
        if number not in self._passes:
            order = np.random.default_rng([self.seed, number, 2]).permutation(self.search_rows)
            self._passes = {**dict(list(self._passes.items())[-1:]), number: self._tensor(order)}
        return self._passes[number]

    def _of_validation(self, rows: Tensor) -> Batch:
        return self._batch(self._spoken + self._silent + rows, self._validation_labels[rows])

    def _batch(self, rows: Tensor, labels: Tensor) -> Batch:
        """Rows count through training, the pool of silence and validation. No value is looked at on the host."""
        share = slice(self.world.rank, None, self.world.size)
        mine = rows[share]
        audio = None if self._audio is None else self._audio[mine].float() / 32768.0
        if self.storage == "waveforms":
            with torch.no_grad():
                found = self.bank(audio, self.kept)
            features = tuple(
                None if value is None else (value - mean) / std for value, (mean, std) in zip(found, self._scales)
            )
        else:
            features = tuple(None if value is None else value[mine].float() for value in self._features)
        return Batch(features, labels[share], len(rows), audio if self._give_waveforms else None)

    # --- preparation

    def _compute(self, audio: Sequence[np.ndarray], weights: np.ndarray, progress: Progress) -> tuple[Scaler, ...]:
        """Fills the cache with features as they are, and fits the scalers to them: ``weights`` says how often a clip
        counts.

        The same statistics as Scaler.fit's: sums in float64, of the distance from the first clips' mean, so that a
        large mean costs no digits.
        """
        if not self.configs:
            return ()
        total, done, cached = sum(map(len, audio)), 0, self.storage != "waveforms"
        count, moments = float(weights.sum()), [defaultdict(float) for _ in self.configs]
        if cached:
            kind = getattr(torch, self.storage)
            shapes = [(total, item.frames(self.dataset.samples), item.features) for item in self.configs]
            self._features = [torch.empty(shape, dtype=kind, device=self.device) for shape in shapes]
        for clips in audio:
            for start in range(0, len(clips), CHUNK):
                chunk = clips[start : start + CHUNK]
                weight = self._tensor(weights[done : done + len(chunk)])
                if cached or weights[done : done + len(chunk)].any():
                    with torch.no_grad():
                        found = self.bank(torch.from_numpy(chunk.astype(np.float32)).to(self.device) / 32768.0)
                    for index, value in enumerate(found):
                        _accumulate(moments[index], value, weight)
                        if cached:
                            self._features[index][done : done + len(chunk)] = value
                done += len(chunk)
                progress("features", done, total, f"{len(self.configs)} front ends")
        return tuple(
            _scaler(moment, count * item.frames(self.dataset.samples)) for moment, item in zip(moments, self.configs)
        )

    def _scale_in_place(self) -> None:
        for value, (mean, std) in zip(self._features, self._scales):
            for chunk in () if value is None else value.split(CHUNK):
                chunk.copy_((chunk.float() - mean) / std)

    def _upload(self, audio: Sequence[np.ndarray]) -> Tensor:
        kept = torch.empty((sum(map(len, audio)), self.dataset.samples), dtype=torch.int16, device=self.device)
        start = 0
        for clips in audio:
            for first in range(0, len(clips), CHUNK):
                chunk = torch.from_numpy(np.array(clips[first : first + CHUNK]))
                kept[start : start + len(chunk)] = chunk.to(self.device)
                start += len(chunk)
        return kept

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(values)).to(self.device)


def balanced(labels: np.ndarray, names: Sequence[str], seed: int) -> np.ndarray:
    """Rows of validation with ``_unknown_`` drawn to the mean number of clips of the keywords, as training has it: else
    alpha, beta and gamma would mostly learn to know the unknown (half of Speech Commands' validation clips)."""
    counts = np.bincount(labels, minlength=len(names))
    keywords = [index for index, name in enumerate(names) if name not in (SILENCE, UNKNOWN)]
    if UNKNOWN not in names or not keywords:
        return np.arange(len(labels))
    unknown = np.flatnonzero(labels == names.index(UNKNOWN))
    few = min(len(unknown), max(2, round(float(counts[keywords].mean()))))
    drawn = np.random.default_rng([seed, 4]).choice(unknown, few, replace=False)
    return np.sort(np.concatenate([np.flatnonzero(labels != names.index(UNKNOWN)), drawn]))


def split_validation(
    labels: np.ndarray, speakers: Sequence[str], held_out: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (for the search, held out): ``held_out`` of the clips of every label, and no speaker in both.

    Speakers are taken in a seeded order, each if that brings the shares of the labels nearer to ``held_out``; a clip of
    an unknown speaker counts as a speaker of its own. Where so few speakers leave either part without some label, clips
    are chosen singly.
    """
    clips_of: dict[str | int, list[int]] = defaultdict(list)
    for row, speaker in enumerate(speakers):
        clips_of[speaker or row].append(row)
    found = _take(list(clips_of.values()), labels, held_out, seed)
    divisible = np.flatnonzero(np.bincount(labels) > 1)
    complete = all(np.isin(divisible, labels[part]).all() for part in found)
    if not complete:
        found = _take([[row] for row in range(len(labels))], labels, held_out, seed)
    if not all(map(len, found)):
        raise TinyflowError(
            f"{len(labels)} validation clips cannot be cut in two parts",
            "the search needs more recordings for validation",
        )
    return found


def _take(groups: list[list[int]], labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    counts = np.maximum(np.bincount(labels), 1)
    wanted = np.clip(np.rint(share * counts), np.minimum(1, counts - 1), counts - 1)  # at least a clip on either side
    taken = np.zeros(len(labels), bool)
    for place in np.random.default_rng([seed, 3]).permutation(len(groups)):
        left = wanted - np.bincount(labels[groups[place]], minlength=len(counts))
        if (np.square(left / counts) - np.square(wanted / counts)).sum() < 0:
            taken[groups[place]] = True
            wanted = left
    return np.flatnonzero(~taken), np.flatnonzero(taken)


def choose_storage(values: int, device: torch.device, world: World = World()) -> Storage:
    """How ``values`` numbers are kept on ``device``, whose memory processes on CPUs share."""
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
    else:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if CONTAINER_LIMIT.is_file() and (limit := CONTAINER_LIMIT.read_text().strip()).isdigit():
            memory = min(memory, int(limit))
        memory //= world.size
    if 4 * values <= memory / 4:
        return "float32"
    return "float16" if 2 * values <= memory / 2 else "waveforms"


def _accumulate(moments: dict[str, Tensor], value: Tensor, weight: Tensor) -> None:
    """Weighted sums of features ``value`` (n, frames, features) and its squares, about the mean of the first chunk."""
    shift = moments.setdefault("shift", value.mean((0, 1)))
    distance = value - shift
    moments["sum"] = moments["sum"] + weight @ distance.sum(1, dtype=torch.float64)
    moments["squares"] = moments["squares"] + weight @ distance.square_().sum(1, dtype=torch.float64)


def _scaler(moments: dict[str, Tensor], count: float) -> Scaler:
    mean = moments["sum"] / count
    variance = (moments["squares"] / count - mean.square()).clamp_min(0)
    std = variance.sqrt().clamp_min(STD_FLOOR)
    return Scaler((moments["shift"] + mean).cpu().numpy(), std.cpu().numpy())
