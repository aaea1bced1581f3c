"""The constants up to the logarithm: window and mel bank. numpy only; torch and the generated C read the same numbers.

torchaudio computes its tables in float32, and its DCT angles reach n_mels*pi, so that its cosines are off by up
to 1e-5: more than the whole error budget of the front end. These tables therefore follow its float32 steps, with
only cos and pow rounded from float64: each entry agrees with torchaudio's to about an ulp of its largest term.
"""

import math

import numpy as np
import numpy.typing as npt

from tinyflow.frontend.mel.config import MelConfig

LOG_OFFSET = 1e-6  # torchaudio.transforms.MFCC(log_mels=True)
Floats = npt.NDArray[np.float32]


def hann_window(config: MelConfig) -> Floats:
    """Periodic Hann window, float32 (window,)."""
    angle = np.arange(config.window, dtype=np.float32) * np.float32(2 * math.pi / config.window)
    return np.float32(0.5) - np.float32(0.5) * cosine(angle)


def mel_bank(config: MelConfig) -> Floats:
    """Triangular HTK mel filters without area normalisation, 0 Hz to Nyquist, float32 (n_fft//2 + 1, n_mels).

    Where filters are narrower than a bin (80 mels, n_fft 400) some columns are wholly zero: their mel energy is 0.
    """
    nyquist = config.sample_rate // 2
    bins = _linspace(0.0, nyquist, config.n_fft // 2 + 1)
    mels = _linspace(0.0, 2595.0 * math.log10(1.0 + nyquist / 700.0), config.n_mels + 2)
    powers = np.power(10.0, (mels / np.float32(2595.0)).astype(np.float64)).astype(np.float32)
    edges = np.float32(700.0) * (powers - np.float32(1.0))
    width = edges[1:] - edges[:-1]
    slopes = edges[None, :] - bins[:, None]  # (bins, n_mels + 2)
    down = -slopes[:, :-2] / width[:-1]
    up = slopes[:, 2:] / width[1:]
    triangles: Floats = np.maximum(np.float32(0.0), np.minimum(down, up))
    return triangles


def cosine(angle: Floats) -> Floats:
    """float32 of the float64 cosine."""
    rounded: Floats = np.cos(angle.astype(np.float64)).astype(np.float32)
    return rounded


def _linspace(start: float, end: float, steps: int) -> Floats:
    """float32 as torch.linspace steps: from both ends to the middle."""
    first, last = np.float32(start), np.float32(end)
    step = (last - first) / np.float32(steps - 1)
    index = np.arange(steps, dtype=np.float32)
    return np.where(np.arange(steps) < steps // 2, first + step * index, last - step * (np.float32(steps - 1) - index))
