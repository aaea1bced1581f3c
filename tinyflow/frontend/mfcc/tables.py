"""The constants of the MFCC: window, mel bank, DCT. numpy only; torch and the generated C read the same numbers.

torchaudio computes its tables in float32, and its DCT angles reach n_mels*pi, so that its cosines are off by up
to 1e-5: more than the whole error budget of the front end. These tables therefore follow its float32 steps, with
only cos and pow rounded from float64: each entry agrees with torchaudio's to about an ulp of its largest term.
"""

import math

import numpy as np

from tinyflow.frontend.mfcc.config import MfccConfig

LOG_OFFSET = 1e-6  # torchaudio.transforms.MFCC(log_mels=True)


def hann_window(config: MfccConfig) -> np.ndarray:
    """Periodic Hann window, float32 (window,)."""
    angle = np.arange(config.window, dtype=np.float32) * np.float32(2 * math.pi / config.window)
    return np.float32(0.5) - np.float32(0.5) * _cos(angle)


def mel_bank(config: MfccConfig) -> np.ndarray:
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
    return np.maximum(np.float32(0.0), np.minimum(down, up))


def dct_matrix(config: MfccConfig) -> np.ndarray:
    """Orthonormal DCT-II, float32 (n_mels, n_mfcc)."""
    n = np.arange(config.n_mels, dtype=np.float32) + np.float32(0.5)
    k = np.arange(config.n_mfcc, dtype=np.float32)
    matrix = _cos((np.float32(math.pi / config.n_mels) * n)[None, :] * k[:, None])
    matrix[0] *= np.float32(1.0 / math.sqrt(2.0))
    return np.ascontiguousarray((matrix * np.float32(math.sqrt(2.0 / config.n_mels))).T)


def _cos(angle: np.ndarray) -> np.ndarray:
    return np.cos(angle.astype(np.float64)).astype(np.float32)


def _linspace(start: float, end: float, steps: int) -> np.ndarray:
    """float32 as torch.linspace steps: from both ends to the middle."""
    start, end = np.float32(start), np.float32(end)
    step = (end - start) / np.float32(steps - 1)
    index = np.arange(steps, dtype=np.float32)
    return np.where(np.arange(steps) < steps // 2, start + step * index, end - step * (np.float32(steps - 1) - index))
