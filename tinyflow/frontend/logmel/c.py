"""The generated C of log-mel: what firmware/frontend/logmel and firmware/frontend_fixed/logmel multiply and add."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinyflow.frontend.mel import c, c_fixed
from tinyflow.frontend.mel.config import MelConfig


def generate(
    config: MelConfig, said: str, steps: int, multiplier: Sequence[float], offset: Sequence[float], out: Path
) -> None:
    """FrontEnd.generate. In integers a feature is offset + weight * log2, times 2^SHIFT."""
    factors = c.scaling(config.n_mels, said, multiplier=multiplier, offset=offset)
    constants = {**c.tables(config), "frontend_scaling": np.stack(factors, axis=1).reshape(-1)}
    values: dict[str, int | str] = {"FEATURES": config.n_mels, "STEPS": steps}
    c.write_tables(config, "logmel", said, values, constants, out)

    weights = math.log(2) * factors[0].astype(np.float64)
    reach, bounded = c_fixed.bounded(np.abs(weights), factors[1])
    shift = c_fixed.feature_shift(float(np.abs(weights).max()), reach, bounded)
    tables = {
        "offsets": c_fixed.rounded(bounded, shift, np.int64),
        "weights": c_fixed.rounded(weights, shift - c_fixed.LOG_BITS, np.int32),
    }
    c_fixed.write_tables(config, said, {"SHIFT": shift}, tables, out)


def table_bytes(config: MelConfig) -> int:
    """Flash of the tables, multiplier and offset included."""
    return sum(table.nbytes for table in c.tables(config).values()) + 2 * 4 * config.n_mels
