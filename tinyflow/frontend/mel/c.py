"""The generated C up to the mel energies' logarithm: constant tables for firmware/frontend/mel.h and fft.c.

Tables come from tinyflow/frontend/mel/tables.py, so C and torch multiply by the same numbers.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyflow.artefacts import write_text
from tinyflow.errors import TinyflowError
from tinyflow.frontend.mel.config import MelConfig
from tinyflow.frontend.mel.tables import LOG_OFFSET, Floats, hann_window, mel_bank

MEL_PADDING = 4  # floats behind the energies that a kind may read (FRONTEND_MEL_PADDING)
GROUP_BLOCK = 4  # bins (FRONTEND_GROUP_BLOCK)
LICENSE = "/* SPDX-License-Identifier: Apache-2.0 */\n"
Tables = dict[str, npt.NDArray[Any]]


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


def mel_groups(config: MelConfig) -> tuple[npt.NDArray[np.uint16], Floats]:
    """The mel bank by groups of bins, as the C walks it: group g has the bins that touch filters g - 1 and g only.

    Returns (groups uint16 (n_mels, 2): first bin, and blocks of GROUP_BLOCK bins, at least one; weights float32
    (blocks, GROUP_BLOCK, 2): of filters g - 1 and g). A last block that a group does not fill has weights of 0.
    """
    bank = mel_bank(config)
    bins: list[list[int]] = [[] for _ in range(config.n_mels)]
    for index in np.flatnonzero(bank.any(1)):
        bins[np.flatnonzero(bank[index])[-1]].append(int(index))
    if not any(bins):
        raise TinyflowError(
            f"window {config.window}, n_fft {config.n_fft}, {config.n_mels} mels: no mel filter covers a bin",
            "raise n_fft or lower n_mels",
        )
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


def fft_twiddles(points: int) -> Floats:
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
            parts += [np.array(constants.get(radix, ()), np.float32), roots[p * np.arange(1, radix)].reshape(-1)]
    return np.concatenate([np.zeros(0, np.float32), *parts])


def filled_samples(config: MelConfig) -> int:
    """FRONTEND_FILLED: samples and the zeros behind them that are written; a first stage of radix 4 knows the other
    zeros.
    """
    return -(-config.window // 2) * 2 if config.n_fft % 8 == 0 and config.window >= config.n_fft // 2 else config.n_fft


def tables(config: MelConfig) -> Tables:
    """Every constant table up to the logarithm, by its C name, as it lies in flash."""
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
    }


def buffer_bytes(config: MelConfig) -> int:
    """RAM of the static buffers up to the logarithm: two spectra, and the energies with what a kind reads past them."""
    return 4 * (2 * (config.n_fft + 4) + 1 + config.n_mels + MEL_PADDING)


def scaling(features: int, said: str, **arrays: Any) -> list[Floats]:
    """multiplier and offset, float32 (features,) each. TinyflowError: of another shape, or not finite."""
    found = []
    for name, values in arrays.items():
        array = np.asarray(values, dtype=np.float32)
        if array.shape != (features,) or not np.isfinite(array).all():
            raise TinyflowError(
                f"front end {said}: {name} of shape {array.shape}, or not finite", f"it is ({features},) finite floats"
            )
        found.append(array)
    return found


def write_tables(
    config: MelConfig, kind: str, said: str, values: dict[str, int | str], constants: Tables, out: Path
) -> None:
    """frontend_config.h and frontend_tables.c into ``out``. values: defines of the kind, without FRONTEND_.

    Floats are written with nine significant digits, which read back as the same float32.
    """
    defines: dict[str, int | str] = {
        "KIND": f'"{kind}"',
        "SAMPLE_RATE": config.sample_rate,
        "WINDOW": config.window,
        "HOP": config.hop,
        "FFT": config.n_fft,
        "MELS": config.n_mels,
        **values,
        "LOG_OFFSET": _literal(np.float32(LOG_OFFSET)),
    }
    lines = "".join(f"#define FRONTEND_{name} {value}\n" for name, value in defines.items())
    write_text(
        out / "frontend_config.h",
        f"{LICENSE}/* Generated by tinyflow compile: {said}. */\n"
        f"#ifndef TINYFLOW_FRONTEND_CONFIG_H\n#define TINYFLOW_FRONTEND_CONFIG_H\n\n{lines}\n#endif\n",
    )
    write_text(out / "frontend_tables.c", _tables_source(said, constants))


def work(config: MelConfig) -> dict[str, float]:
    """Counts of one frame, up to the logarithm. Of the FFT: butterflies by radix and by what they spare; bins; groups
    of butterflies with twiddles of their own.
    """
    half = config.n_fft // 2
    counts: dict[str, float] = {
        "window.frame": 1,
        "window.sample": config.window,
        "fft.frame": 1,
        "fft.zero": filled_samples(config) - config.window,
        "fft.bin": half // 2,
        "fft.group": 0,
        "mel.frame": 1,
        "mel.block": len(mel_groups(config)[1]),
        "mel.band": config.n_mels,
        "log.frame": 1,
        "log.band": config.n_mels,
    }

    def add(what: str, count: float) -> None:
        counts[f"fft.{what}"] = counts.get(f"fft.{what}", 0) + count

    stride = 1
    for radix in fft_radices(half):
        part = half // radix  # butterflies
        if radix == 4 and stride == 1:
            filled = filled_samples(config) // 2
            zeros = max(0, filled - 3 * part), min(filled, 3 * part) - 2 * part
            add("first_of_4", zeros[0])
            add("first_of_3", zeros[1] - zeros[0])
            add("first_of_2", part - zeros[1])
        else:
            plain = stride if stride % 2 == 0 else 0  # those without twiddles
            add(f"plain_{radix}", plain)
            add(f"{'twiddled' if plain else 'single'}_{radix}", part - plain)
            add("group", part // stride)
        stride *= radix
    return counts


def _unit_roots(order: int) -> Floats:
    """exp(-2 pi i k / order), float32 (order, 2); whole quarters of a turn are exact."""
    angle = 2 * np.pi * np.arange(order) / order
    roots = np.stack([np.cos(angle), -np.sin(angle)], axis=1)
    roots[np.abs(roots) < 1e-15] = 0.0
    rounded: Floats = roots.astype(np.float32)
    return rounded


def _tables_source(said: str, constants: Tables) -> str:
    parts = [f'{LICENSE}/* Generated by tinyflow compile: {said}. */\n#include "frontend_tables.h"\n']
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


def _literal(value: Any) -> str:
    """A C literal that reads back as ``value`` exactly."""
    if not isinstance(value, np.floating):
        return str(int(value))
    text = f"{value:.9g}"
    return f"{text}f" if any(mark in text for mark in ".e") else f"{text}.0f"
