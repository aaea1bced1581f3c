"""The DCT of the MFCC, as torchaudio computes it (frontend/mel/tables.py says why that matters)."""

import math

import numpy as np

from tinyflow.frontend.mel.tables import Floats, cosine


def dct_matrix(n_mels: int, n_mfcc: int) -> Floats:
    """Orthonormal DCT-II, float32 (n_mels, n_mfcc)."""
    n = np.arange(n_mels, dtype=np.float32) + np.float32(0.5)
    k = np.arange(n_mfcc, dtype=np.float32)
    matrix = cosine((np.float32(math.pi / n_mels) * n)[None, :] * k[:, None])
    matrix[0] *= np.float32(1.0 / math.sqrt(2.0))
    return np.ascontiguousarray((matrix * np.float32(math.sqrt(2.0 / n_mels))).T)
