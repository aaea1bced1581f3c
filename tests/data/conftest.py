"""Real audio files for the data stage."""

from pathlib import Path

import numpy as np
import pytest
import soundfile


def burst(seed: int, samples: int = 16000, rate: int = 16000, channels: int = 1) -> np.ndarray:
    """A tone burst that no other seed makes, float32 (samples,) or (samples, channels)."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / rate
    signal = 0.4 * np.sin(2 * np.pi * rng.uniform(200, 2000) * time) * (
        time < 0.6 * samples / rate
    ) + 0.01 * rng.standard_normal(samples)
    return (signal if channels == 1 else np.stack([signal] * channels, axis=1)).astype(np.float32)


@pytest.fixture
def write():
    """write(path, seed=..., samples=..., rate=..., channels=...): a real audio file, by its suffix."""
    made = iter(range(10_000))

    def file(
        path: Path, samples: int = 16000, rate: int = 16000, channels: int = 1, seed: int | None = None, **options
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, burst(next(made) if seed is None else seed, samples, rate, channels), rate, **options)
        return path

    return file
