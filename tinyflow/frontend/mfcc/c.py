"""The C front end of one MfccConfig: generated constants for the sources of firmware/frontend, and the same on the
host.

Tables come from tinyflow/frontend/mfcc/tables.py, so C and torch multiply by the same numbers.
"""

import ctypes
import math
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinyflow.artefacts import FIRMWARE, write_text
from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.c_fixed import FIXED, generate_fixed_frontend
from tinyflow.frontend.mfcc.config import MfccConfig
from tinyflow.frontend.mfcc.tables import LOG_OFFSET, dct_matrix, hann_window, mel_bank
from tinyflow.reference.hostlib import build_host_library

GROUP_BLOCK = 4  # bins (FRONTEND_GROUP_BLOCK)
DCT_INPUTS, DCT_OUTPUTS = 4, 5  # of one block of the DCT (FRONTEND_DCT_INPUTS, FRONTEND_DCT_OUTPUTS)
FRAMES = FIRMWARE / "frontend" / "frames.c"  # of both front ends
LICENSE = "/* SPDX-License-Identifier: Apache-2.0 */\n"


def fft_radices(points: int) -> list[int]:
    """The stages of a complex FFT of ``points``: fours first, then at most one two, threes, fives.

    >>> fft_radices(320), fft_radices(200)
    ([4, 4, 4, 5], [4, 2, 5, 5])
    """
    radices = []
    for radix in (4, 2, 3, 5):
        while points % radix == 0:
            radices.append(radix)
            points //= radix
    if points != 1:
        raise TinyflowError(
            f"an FFT over a prime factor in {points} is not supported", "n_fft is an even product of 2, 3 and 5"
        )
    return radices


def mel_groups(config: MfccConfig) -> tuple[np.ndarray, np.ndarray]:
    """The mel bank by groups of bins, as the C walks it: group g has the bins that touch filters g - 1 and g only.

    Returns (groups uint16 (n_mels, 2): first bin, and blocks of GROUP_BLOCK bins, at least one; weights float32
    (blocks, GROUP_BLOCK, 2): of filters g - 1 and g). A last block that a group does not fill has weights of 0.
    """
    bank = mel_bank(config)
    bins: list[list[int]] = [[] for _ in range(config.n_mels)]
    for index in np.flatnonzero(bank.any(1)):
        bins[np.flatnonzero(bank[index])[-1]].append(int(index))
    if not any(bins):
        raise TinyflowError(f"MFCC {config.name}: no mel filter covers a bin", "raise n_fft or lower n_mels")
    groups, weights = np.zeros((config.n_mels, 2), np.uint16), []
    for group, members in enumerate(bins):
        blocks = max(1, -(-len(members) // GROUP_BLOCK))
        table = np.zeros((blocks * GROUP_BLOCK, 2), np.float32)
        if members:
            table[: len(members), 1] = bank[members, group]
            table[: len(members), 0] = bank[members, group - 1] if group else 0
        groups[group] = members[0] if members else 0, blocks
        weights.append(table.reshape(blocks, GROUP_BLOCK, 2))
    return groups, np.concatenate(weights)


def dct_stages(config: MfccConfig, folds: int) -> list[np.ndarray]:
    """The coefficients that each stage of a DCT folded ``folds`` times gives: the odd ones of what is left, then the
    rest.
    """
    stages, left = [], np.arange(config.n_mfcc)
    for _ in range(folds):
        stages.append(left[1::2])
        left = left[::2]
    return [*stages, left]


def dct_blocks(config: MfccConfig, folds: int) -> list[tuple[int, int]]:
    """(blocks of outputs, blocks of inputs) of each stage."""
    sizes = [config.n_mels >> min(stage + 1, folds) for stage in range(folds + 1)]
    return [
        (-(-len(outputs) // DCT_OUTPUTS), -(-size // DCT_INPUTS))
        for outputs, size in zip(dct_stages(config, folds), sizes)
    ]


def dct_folds(config: MfccConfig) -> int:
    """How often to halve the DCT by its symmetry: what takes the fewest instructions (per block of products 24, per
    block of outputs 20, per folded pair 5, per stage 30). A size that four does not divide is not folded.
    """

    def cost(folds: int) -> int:
        products = sum(rows * (24 * columns + 20) + 30 for rows, columns in dct_blocks(config, folds))
        return products + sum(5 * (config.n_mels >> (fold + 1)) for fold in range(folds))

    choices = [0]
    while config.n_mels % (4 << choices[-1]) == 0:
        choices.append(choices[-1] + 1)
    return min(choices, key=cost)


def dct_tables(config: MfccConfig) -> tuple[np.ndarray, np.ndarray]:
    """(the matrices of all stages, float32, [stage][block of outputs][block of inputs][input][output]; drift float32
    (n_mfcc,)).

    Folding leaves the sums x[i] + x[n-1-i] in place and the differences behind them, last first. torchaudio's cosines
    are not quite symmetric (frontend/mfcc/tables.py), so each stage takes the mean of an entry and its mirror. What
    that loses is the sum of an odd column, times the mean logarithm: ``drift`` times coefficient 0 adds it again.
    Outputs in dct_stages' order.
    """
    folds, left, parts = dct_folds(config), dct_matrix(config).astype(np.float64), []
    drift = left.sum(0) / math.sqrt(config.n_mels)
    stages = dct_stages(config, folds)
    drift[stages[-1]] = 0.0
    for stage, (rows, columns) in enumerate(dct_blocks(config, folds)):
        used = left
        if stage < folds:
            size = len(left) // 2
            upper, lower = left[:size], left[: size - 1 : -1]
            used, left = ((upper - lower) / 2)[::-1, 1::2], ((upper + lower) / 2)[:, ::2]
        table = np.zeros((columns * DCT_INPUTS, rows * DCT_OUTPUTS), np.float32)
        table[: used.shape[0], : used.shape[1]] = used
        parts.append(table.reshape(columns, DCT_INPUTS, rows, DCT_OUTPUTS).transpose(2, 0, 1, 3).reshape(-1))
    return np.concatenate(parts), drift[np.concatenate(stages)].astype(np.float32)


def fft_twiddles(points: int) -> np.ndarray:
    """What the stages of a complex FFT read, in order, float32: for each p < m the constants of radix 3 or 5, then w^p,
    w^2p, ...

    w = exp(-2 pi i / (radix m)); m is what is left of ``points`` after the stage.
    """
    constants = {
        3: (math.sqrt(0.75), 0.5),
        5: (0.25, math.sqrt(5) / 4, math.sin(2 * math.pi / 5), math.sin(4 * math.pi / 5)),
    }
    parts, m = [], points
    for radix in fft_radices(points):
        m //= radix
        roots = _unit_roots(radix * m)
        for p in range(m):
            parts += [np.float32(constants.get(radix, ())), roots[p * np.arange(1, radix)].reshape(-1)]
    return np.concatenate([np.zeros(0, np.float32), *parts])


def filled_samples(config: MfccConfig) -> int:
    """FRONTEND_FILLED: samples and the zeros behind them that are written; a first stage of radix 4 knows the other
    zeros.
    """
    return -(-config.window // 2) * 2 if config.n_fft % 8 == 0 and config.window >= config.n_fft // 2 else config.n_fft


def tables(config: MfccConfig) -> dict[str, np.ndarray]:
    """Every constant table that depends on ``config`` alone, by its C name, as it lies in flash."""
    half = config.n_fft // 2
    groups, weights = mel_groups(config)
    split = np.arange(1, (half // 2 + 1) // 2 * 2 + 1)
    return {
        "frontend_window": hann_window(config),
        "frontend_radices": np.array([*fft_radices(half), 0], np.uint8),
        "frontend_twiddles": fft_twiddles(half),
        "frontend_split_twiddles": _unit_roots(config.n_fft)[split].reshape(-1),
        "frontend_groups": groups,
        "frontend_mel_weights": weights.reshape(-1),
        "frontend_dct": dct_tables(config)[0],
        "frontend_order": np.concatenate(dct_stages(config, dct_folds(config))).astype(np.uint16),
    }


def table_bytes(config: MfccConfig) -> int:
    """Flash that the generated tables take, frontend_scaling included."""
    return sum(table.nbytes for table in tables(config).values()) + 3 * 4 * config.n_mfcc


def buffer_bytes(config: MfccConfig) -> int:
    """RAM of the static buffers of a frame; a stream keeps 2 * window more."""
    return 4 * (2 * (config.n_fft + 4) + 1 + config.n_mels + DCT_INPUTS + config.n_mfcc + DCT_OUTPUTS)


def generate_frontend(config: MfccConfig, multiplier: Sequence[float], offset: Sequence[float], out: Path) -> None:
    """Writes frontend_config.h and frontend_tables.c into the folder ``out``, and the fixed-point tables into its
    folder fixed/.

    multiplier, offset: (n_mfcc,), float32 values (tinyflow/frontend/quantize.py). Floats are written with nine
    significant digits, which read back as the same float32.
    """
    constants = tables(config)
    scaling = [dct_tables(config)[1]]
    for name, values in (("multiplier", multiplier), ("offset", offset)):
        array = np.asarray(values, dtype=np.float32)
        if array.shape != (config.n_mfcc,) or not np.isfinite(array).all():
            raise TinyflowError(
                f"front end {config.name}: {name} of shape {array.shape}, or not finite",
                f"it is ({config.n_mfcc},) finite floats",
            )
        scaling.append(array[constants["frontend_order"]])
    constants["frontend_scaling"] = np.stack(scaling, axis=1).reshape(-1)
    out = Path(out)
    write_text(out / "frontend_config.h", _config_header(config))
    write_text(out / "frontend_tables.c", _tables_source(config, constants))
    generate_fixed_frontend(
        config, np.float32(multiplier), np.float32(offset), fft_radices(config.n_fft // 2), out / FIXED
    )


class HostFrontend:
    """The generated C of ``c_folder``, built with the host's compiler: in floats, or ``fixed`` as for a board without
    FPU.
    """

    def __init__(self, c_folder: Path, flags: tuple[str, ...] = (), fixed: bool = False):
        c_folder = Path(c_folder)
        self.values = read_config_header(c_folder / "frontend_config.h")
        folder = FIRMWARE / ("frontend_fixed" if fixed else "frontend")
        tables = c_folder / (f"{FIXED}/frontend_fixed_tables.c" if fixed else "frontend_tables.c")
        include = [c_folder, tables.parent, folder, FIRMWARE / "frontend"]
        with tempfile.TemporaryDirectory(prefix="tinyflow-frontend-") as build:  # loaded code outlives its file
            library = build_host_library(
                [*sorted({*folder.glob("*.c"), FRAMES}), tables], include, Path(build) / "frontend.so", flags
            )
        self._clip = library.frontend_clip
        self._clip.restype = ctypes.c_size_t
        self._clip.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]

    def frames(self, samples: int) -> int:
        window, hop = self.values["WINDOW"], self.values["HOP"]
        return 0 if samples < window else 1 + (samples - window) // hop

    def features(self, audio: np.ndarray) -> np.ndarray:
        """int16 (N, samples) to int8 (N, frames, n_mfcc)."""
        if audio.dtype != np.int16 or audio.ndim != 2:
            raise TinyflowError(
                f"the C front end got {audio.dtype} of shape {audio.shape}", "audio is int16 (N, samples)"
            )
        audio = np.ascontiguousarray(audio)
        features = np.empty((len(audio), self.frames(audio.shape[1]), self.values["MFCC"]), np.int8)
        for clip, row in zip(audio, features):
            if self._clip(clip.ctypes.data, clip.size, row.ctypes.data) != len(row):
                raise TinyflowError(
                    f"the C front end did not give {len(row)} frames", "generate it again: tinyflow compile"
                )
        return features


def read_config_header(path: Path) -> dict[str, int]:
    """The whole numbers of a frontend_config.h, without their FRONTEND_ prefix."""
    if not Path(path).is_file():
        raise TinyflowError(f"{path} does not exist", "generate the C first: tinyflow compile")
    found = re.findall(r"^#define FRONTEND_(\w+) (\d+)$", Path(path).read_text(), re.MULTILINE)
    return {name: int(value) for name, value in found}


def _unit_roots(order: int) -> np.ndarray:
    """exp(-2 pi i k / order), float32 (order, 2); whole quarters of a turn are exact."""
    angle = 2 * np.pi * np.arange(order) / order
    roots = np.stack([np.cos(angle), -np.sin(angle)], axis=1)
    roots[np.abs(roots) < 1e-15] = 0.0
    return roots.astype(np.float32)


def _config_header(config: MfccConfig) -> str:
    values = {
        "SAMPLE_RATE": config.sample_rate,
        "WINDOW": config.window,
        "HOP": config.hop,
        "FFT": config.n_fft,
        "MELS": config.n_mels,
        "MFCC": config.n_mfcc,
        "DCT_FOLDS": dct_folds(config),
        "DCT_FIRST": config.n_mfcc - len(dct_stages(config, dct_folds(config))[-1]),
        "LOG_OFFSET": _literal(np.float32(LOG_OFFSET)),
    }
    lines = "".join(f"#define FRONTEND_{name} {value}\n" for name, value in values.items())
    return (
        f"{LICENSE}/* Generated by tinyflow compile: MFCC {config.name}. */\n"
        f"#ifndef TINYFLOW_FRONTEND_CONFIG_H\n#define TINYFLOW_FRONTEND_CONFIG_H\n\n{lines}\n#endif\n"
    )


def _tables_source(config: MfccConfig, constants: dict[str, np.ndarray]) -> str:
    parts = [f'{LICENSE}/* Generated by tinyflow compile: MFCC {config.name}. */\n#include "frontend_tables.h"\n']
    for name, table in constants.items():
        pairs = table.ndim == 2
        kind = {"float32": "float", "uint8": "uint8_t", "uint16": "frontend_group" if pairs else "uint16_t"}[
            table.dtype.name
        ]
        rows = (
            ["{" + ", ".join(map(_literal, row)) + "}" for row in table]
            if pairs
            else [_literal(value) for value in table]
        )
        per_line = 4 if pairs else 8
        body = "".join(f"  {', '.join(rows[i : i + per_line])},\n" for i in range(0, len(rows), per_line))
        parts.append(f"\nconst {kind} {name}[{len(table)}] = {{\n{body}}};\n")
    return "".join(parts)


def _literal(value: np.generic) -> str:
    """A C literal that reads back as ``value`` exactly."""
    if not isinstance(value, np.floating):
        return str(int(value))
    text = f"{value:.9g}"
    return f"{text}f" if any(mark in text for mark in ".e") else f"{text}.0f"
