"""The DCT in integers, with the logarithm's base, the scaler and the quantisation in its table."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyflow.frontend.mel.c import Tables
from tinyflow.frontend.mel.c_fixed import LOG_BITS, Defines, bounded, feature_shift, rounded
from tinyflow.frontend.mel.config import MelConfig
from tinyflow.frontend.mel.tables import Floats
from tinyflow.frontend.mfcc.dct import dct_matrix

BLOCK, MEAN_SHIFT = 4, 7  # FRONTEND_BLOCK, FRONTEND_MEAN_SHIFT


def tables(config: MelConfig, n_mfcc: int, multiplier: Floats, offset: Floats) -> tuple[Defines, Tables]:
    """Features, scaled by 2^SHIFT, are the sum of table * log2, plus offset + drift * mean.

    The DCT is folded by its symmetry: coefficients 1, 3, ... from the differences of the first and last, second and
    last but one logarithms, the others from the sums, which fold again. torchaudio's cosines are not quite symmetric
    (frontend/mel/tables.py), so each stage takes the mean of an entry and its mirror; what that loses is the sum of an
    odd column times the mean logarithm, the drift.
    """
    left = dct_matrix(config.n_mels, n_mfcc).astype(np.float64) * math.log(2) * np.asarray(multiplier, np.float64)
    reach, bounds = bounded(np.abs(left).sum(0), offset)
    folds = 2 if config.n_mels % 4 == 0 else 1 - config.n_mels % 2
    drift, order, stages = left.sum(0), np.arange(n_mfcc), []
    for _ in range(folds):
        size = len(left) // 2
        upper, lower = left[:size], left[: size - 1 : -1]
        stages.append((order[1::2], ((upper - lower) / 2)[::-1, 1::2]))
        order, left = order[::2], ((upper + lower) / 2)[:, ::2]
    stages.append((order, left))
    drift[order] = 0.0
    drift *= 2.0**MEAN_SHIFT / config.n_mels
    largest = max(np.abs(drift).max(), *(np.abs(matrix).max(initial=0) for _, matrix in stages))
    shift = feature_shift(largest, reach, bounds)
    order = np.concatenate([columns for columns, _ in stages])
    scaling = np.zeros((len(order) + BLOCK, 2), np.int64)
    scaling[: len(order), 0] = rounded(bounds[order], shift, np.int64)
    scaling[: len(order), 1] = rounded(drift[order], shift - LOG_BITS, np.int64)
    table = np.concatenate([_blocks(rounded(matrix, shift - LOG_BITS, np.int32)) for _, matrix in stages])
    return {"SHIFT": shift, "FOLDS": folds}, {"dct": table, "scaling": scaling, "order": order.astype(np.uint16)}


def _blocks(matrix: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(inputs, outputs) as [block of outputs][input][output], flat; the last block filled with zeros."""
    inputs, outputs = matrix.shape
    padded = np.pad(matrix, ((0, 0), (0, -outputs % BLOCK)))
    return padded.reshape(inputs, -1, BLOCK).transpose(1, 0, 2).reshape(-1)
