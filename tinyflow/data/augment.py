"""Augmentation of training clips as waveforms. The masks of SpecAugment work on features: tinyflow/train."""

from collections.abc import Sequence

import numpy as np

from tinyflow.data.background import cut
from tinyflow.recipe import Augment


def augment(
    audio: np.ndarray,
    backgrounds: Sequence[np.ndarray],
    config: Augment,
    rng: np.random.Generator,
    sample_rate: int = 16000,
) -> np.ndarray:
    """Each clip shifted, mixed with background noise and changed in level, each by its own random amount.

    ``audio`` float32 (N, samples) in [-1, 1]; ``backgrounds`` noise recordings of any scale, int16 too. Answers a new
    float32 (N, samples) in [-1, 1]. What a shift moves out is lost, zeros move in. The signal-to-noise ratio is
    that of the whole clip; digital silence gets no noise.
    """
    answer = np.array(audio, np.float32)
    count, samples = answer.shape
    reach = min(round(config.shift_ms * sample_rate / 1000), samples - 1)
    if reach:
        for clip, by in zip(answer, rng.integers(-reach, reach + 1, count), strict=True):
            clip[:] = shifted(clip, int(by))
    if config.noise_probability and backgrounds:
        for index in np.flatnonzero(rng.random(count) < config.noise_probability):
            noise = backgrounds[rng.integers(len(backgrounds))]
            noise = cut(noise, int(rng.integers(max(1, len(noise) - samples + 1))), samples).astype(np.float32)
            snr_db = rng.uniform(*config.noise_snr_db)
            level = rms(noise)
            if level > 0:
                answer[index] += noise * np.float32(rms(answer[index]) / level * 10 ** (-snr_db / 20))
    if config.gain_db:
        gain_db = rng.uniform(-config.gain_db, config.gain_db, (count, 1))
        answer *= (10 ** (gain_db / 20)).astype(np.float32)
    return np.clip(answer, -1.0, 1.0, out=answer)


def shifted(clip: np.ndarray, by: int) -> np.ndarray:
    """``clip`` (samples,) moved later by ``by`` samples (earlier when negative), zeros moved in."""
    moved = np.zeros_like(clip)
    if by >= 0:
        moved[by:] = clip[: len(clip) - by]
    else:
        moved[:by] = clip[-by:]
    return moved


def rms(signal: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64))))
