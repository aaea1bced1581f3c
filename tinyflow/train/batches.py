"""What the network sees: scaled features, of a whole split or batch by batch with augmentation."""

from collections.abc import Iterator

import numpy as np
import torch

from tinyflow.data.dataset import Dataset
from tinyflow.frontend.protocol import FrontEnd
from tinyflow.frontend.scaler import Scaler
from tinyflow.recipe import Augment

CHUNK = 256  # clips at a time: 16 MB of audio


def waveform(audio: np.ndarray) -> np.ndarray:
    """int16 to float32 in [-1, 1)."""
    return audio.astype(np.float32) / 32768.0


def feature_chunks(
    module: torch.nn.Module, audio: np.ndarray, device: str | torch.device = "cpu"
) -> Iterator[torch.Tensor]:
    """Features (CHUNK, frames, features) of int16 clips (N, samples), chunk after chunk, on ``device``."""
    with torch.no_grad():
        for start in range(0, len(audio), CHUNK):
            yield module(torch.from_numpy(waveform(audio[start : start + CHUNK])).to(device))


def scaled_features(config: FrontEnd, scaler: Scaler, audio: np.ndarray) -> np.ndarray:
    """Scaled features float32 (N, frames, features) of int16 clips (N, samples), computed on the CPU."""
    chunks = [scaler.apply(chunk).numpy() for chunk in feature_chunks(config.module(), audio)]
    return np.concatenate(chunks) if chunks else np.empty((0, *config.shape), np.float32)


def fit_scaler(dataset: Dataset, config: FrontEnd, seed: int, device: torch.device) -> Scaler:
    """Over the clips of a first epoch, silence in its share: what the network will see, before augmentation."""
    rows, rng = dataset.training_epoch(0, seed).audio_rows, np.random.default_rng([seed, 0])
    module = config.module().to(device)
    chunks = (dataset.clip(np.sort(rows[start : start + CHUNK]), rng) for start in range(0, len(rows), CHUNK))
    return Scaler.fit(batch for clips in chunks for batch in feature_chunks(module, clips, device))


def mask(features: torch.Tensor, config: Augment, rng: np.random.Generator) -> torch.Tensor:
    """SpecAugment (Park et al., 2019): random spans of frames and of coefficients become the mean, zero."""
    count, frames, coefficients = features.shape
    keep = np.ones((count, frames, coefficients), bool)
    for masks, width, size, axis in (
        (config.spec_time_masks, config.spec_time_width, frames, 1),
        (config.spec_freq_masks, config.spec_freq_width, coefficients, 2),
    ):
        position = np.arange(size)
        for _ in range(masks):
            widths = rng.integers(0, min(width, size) + 1, (count, 1))
            starts = rng.integers(0, size - widths + 1)
            keep &= np.expand_dims((position < starts) | (position >= starts + widths), 3 - axis)
    return features * torch.from_numpy(keep).to(features.device)


class Batches:
    """Training batches. A batch is a function of (seed, epoch, step) alone, so a resumed run sees the same ones.

    Without waveform augmentation every clip's features are computed once and kept (18,000 clips of 49x40: 141 MB).
    """

    def __init__(
        self,
        dataset: Dataset,
        config: FrontEnd,
        scaler: Scaler,
        augment: Augment,
        batch_size: int,
        seed: int,
        device: torch.device,
    ):
        self.dataset, self.scaler, self.augment = dataset, scaler, augment
        self.batch_size, self.seed, self.device = batch_size, seed, device
        self.module = config.module().to(device)
        self.waveforms = augment.shift_ms > 0 or augment.gain_db > 0 or augment.noise_probability > 0
        self.masks = augment.spec_time_masks > 0 or augment.spec_freq_masks > 0
        self.kept: torch.Tensor | None = None
        if not self.waveforms:
            audio = dataset.split("training").audio
            self.kept = torch.cat([scaler.apply(chunk) for chunk in feature_chunks(self.module, audio, device)])

    def steps(self, count: int) -> int:
        """Batches in an epoch of ``count`` clips; a last batch of one clip is left out (batch norm)."""
        return count // self.batch_size + (count % self.batch_size > 1)

    def batch(self, rows: np.ndarray, epoch: int, step: int) -> torch.Tensor:
        """Features (N, 1, frames, features) on the device; ``rows`` int64 (N,), -1 is fresh silence."""
        rng = np.random.default_rng([self.seed, epoch, step])
        if self.kept is None:
            features = self._compute(rows, rng)
        else:
            features = self.kept[torch.from_numpy(np.maximum(rows, 0)).to(self.device)]
            if (silent := np.flatnonzero(rows < 0)).size:
                features[torch.from_numpy(silent).to(self.device)] = self._compute(rows[silent], rng)
        return (mask(features, self.augment, rng) if self.masks else features).unsqueeze(1)

    def _compute(self, rows: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
        audio = waveform(self.dataset.clip(rows, rng))
        if self.waveforms:
            from tinyflow.data.augment import augment

            audio = augment(audio, self.dataset.background, self.augment, rng)
        with torch.no_grad():
            return self.scaler.apply(
                self.module(torch.from_numpy(np.ascontiguousarray(audio, np.float32)).to(self.device))
            )
