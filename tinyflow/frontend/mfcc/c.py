"""The generated C of the MFCC: the DCT, folded by its symmetry, for firmware/frontend/mfcc/frontend.c."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinyflow.frontend.mel import c, c_fixed
from tinyflow.frontend.mel.config import MelConfig
from tinyflow.frontend.mel.tables import Floats
from tinyflow.frontend.mfcc import c_fixed as dct_fixed
from tinyflow.frontend.mfcc.dct import dct_matrix

DCT_INPUTS, DCT_OUTPUTS = 4, 5  # of one block of the DCT (FRONTEND_DCT_INPUTS, FRONTEND_DCT_OUTPUTS)


def dct_stages(n_mfcc: int, folds: int) -> list[npt.NDArray[np.int64]]:
    """The coefficients that each stage of a DCT folded ``folds`` times gives: the odd ones of what is left, then the
    rest.
    """
    stages, left = [], np.arange(n_mfcc)
    for _ in range(folds):
        stages.append(left[1::2])
        left = left[::2]
    return [*stages, left]


def dct_blocks(n_mels: int, n_mfcc: int, folds: int) -> list[tuple[int, int]]:
    """(blocks of outputs, blocks of inputs) of each stage."""
    sizes = [n_mels >> min(stage + 1, folds) for stage in range(folds + 1)]
    return [
        (-(-len(outputs) // DCT_OUTPUTS), -(-size // DCT_INPUTS))
        for outputs, size in zip(dct_stages(n_mfcc, folds), sizes)
    ]


def dct_folds(n_mels: int, n_mfcc: int) -> int:
    """How often to halve the DCT by its symmetry: what takes the fewest instructions (per block of products 24, per
    block of outputs 20, per folded pair 5, per stage 30). A size that four does not divide is not folded.
    """

    def cost(folds: int) -> int:
        products = sum(rows * (24 * columns + 20) + 30 for rows, columns in dct_blocks(n_mels, n_mfcc, folds))
        return products + sum(5 * (n_mels >> (fold + 1)) for fold in range(folds))

    choices = [0]
    while n_mels % (4 << choices[-1]) == 0:
        choices.append(choices[-1] + 1)
    return min(choices, key=cost)


def dct_tables(n_mels: int, n_mfcc: int) -> tuple[Floats, Floats]:
    """(the matrices of all stages, float32, [stage][block of outputs][block of inputs][input][output]; drift float32
    (n_mfcc,)).

    Folding leaves the sums x[i] + x[n-1-i] in place and the differences behind them, last first. torchaudio's cosines
    are not quite symmetric (frontend/mfcc/tables.py), so each stage takes the mean of an entry and its mirror. What
    that loses is the sum of an odd column, times the mean logarithm: ``drift`` times coefficient 0 adds it again.
    Outputs in dct_stages' order.
    """
    folds, left, parts = dct_folds(n_mels, n_mfcc), dct_matrix(n_mels, n_mfcc).astype(np.float64), []
    drift = left.sum(0) / math.sqrt(n_mels)
    stages = dct_stages(n_mfcc, folds)
    drift[stages[-1]] = 0.0
    for stage, (rows, columns) in enumerate(dct_blocks(n_mels, n_mfcc, folds)):
        used = left
        if stage < folds:
            size = len(left) // 2
            upper, lower = left[:size], left[: size - 1 : -1]
            used, left = ((upper - lower) / 2)[::-1, 1::2], ((upper + lower) / 2)[:, ::2]
        table = np.zeros((columns * DCT_INPUTS, rows * DCT_OUTPUTS), np.float32)
        table[: used.shape[0], : used.shape[1]] = used
        parts.append(table.reshape(columns, DCT_INPUTS, rows, DCT_OUTPUTS).transpose(2, 0, 1, 3).reshape(-1))
    return np.concatenate(parts), drift[np.concatenate(stages)].astype(np.float32)


def tables(config: MelConfig, n_mfcc: int) -> c.Tables:
    """Every constant table that depends on the configuration alone, by its C name, as it lies in flash."""
    order = np.concatenate(dct_stages(n_mfcc, dct_folds(config.n_mels, n_mfcc)))
    dct = dct_tables(config.n_mels, n_mfcc)[0]
    return {**c.tables(config), "frontend_dct": dct, "frontend_order": order.astype(np.uint16)}


def table_bytes(config: MelConfig, n_mfcc: int) -> int:
    """Flash that the generated tables take, frontend_scaling included."""
    return sum(table.nbytes for table in tables(config, n_mfcc).values()) + 3 * 4 * n_mfcc


def buffer_bytes(config: MelConfig, n_mfcc: int) -> int:
    """RAM of the static buffers of a frame."""
    return c.buffer_bytes(config) + 4 * (n_mfcc + DCT_OUTPUTS)


def generate(
    config: MelConfig,
    n_mfcc: int,
    said: str,
    steps: int,
    multiplier: Sequence[float],
    offset: Sequence[float],
    out: Path,
) -> None:
    """FrontEnd.generate."""
    constants = tables(config, n_mfcc)
    factors = c.scaling(n_mfcc, said, multiplier=multiplier, offset=offset)
    drift = dct_tables(config.n_mels, n_mfcc)[1]
    ordered = [drift, *(array[constants["frontend_order"]] for array in factors)]
    constants["frontend_scaling"] = np.stack(ordered, axis=1).reshape(-1)
    folds = dct_folds(config.n_mels, n_mfcc)
    values: dict[str, int | str] = {
        "FEATURES": n_mfcc,
        "MFCC": n_mfcc,  # what FEATURES was called: people call exported C with it
        "STEPS": steps,
        "DCT_FOLDS": folds,
        "DCT_FIRST": n_mfcc - len(dct_stages(n_mfcc, folds)[-1]),
    }
    c.write_tables(config, "mfcc", said, values, constants, out)
    c_fixed.write_tables(config, said, *dct_fixed.tables(config, n_mfcc, *factors), out)


def work(config: MelConfig, n_mfcc: int) -> dict[str, float]:
    """FrontEnd.work."""
    folds = dct_folds(config.n_mels, n_mfcc)
    blocks = dct_blocks(config.n_mels, n_mfcc, folds)
    return {
        **c.work(config),
        "dct.frame": 1,
        "dct.fold": sum(config.n_mels >> (fold + 1) for fold in range(folds)),
        "dct.output": sum(rows for rows, _ in blocks),
        "dct.block": sum(rows * columns for rows, columns in blocks),
        "quantize.frame": 1,
        "quantize.coefficient": n_mfcc,
    }
