"""The C front end of one MfccConfig: generated constants for the sources of firmware/frontend, and the same on the host.

Tables come from tinyflow/features/tables.py, so C and torch multiply by the same numbers.
"""

import ctypes
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinyflow.artefacts import write_text
from tinyflow.compile.frontend_fixed import FIXED, generate_fixed_frontend
from tinyflow.compile.hostlib import FIRMWARE, build_host_library
from tinyflow.errors import TinyflowError
from tinyflow.features.config import MfccConfig
from tinyflow.features.tables import LOG_OFFSET, dct_matrix, hann_window, mel_bank

DCT_BLOCK = 4  # coefficients summed side by side (FRONTEND_BLOCK)
SOURCES = ("frontend.c", "fft.c", "log.c")
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
        raise TinyflowError(f"an FFT over a prime factor in {points} is not supported", "n_fft is an even product of 2, 3 and 5")
    return radices


def sparse_mel_bank(config: MfccConfig) -> tuple[np.ndarray, np.ndarray]:
    """(bands uint16 (n_mels, 2): first bin and count; weights float32, one run after the other). Empty filters have count 0."""
    bank = mel_bank(config)
    bands, weights = np.zeros((config.n_mels, 2), np.uint16), []
    for index, column in enumerate(bank.T):
        used = np.flatnonzero(column)
        if used.size:
            bands[index] = used[0], used[-1] + 1 - used[0]
            weights.append(column[used[0] : used[-1] + 1])
    if not weights:
        raise TinyflowError(f"MFCC {config.name}: no mel filter covers a bin", "raise n_fft or lower n_mels")
    return bands, np.concatenate(weights)


def tables(config: MfccConfig) -> dict[str, np.ndarray]:
    """Every constant table that depends on ``config`` alone, by its C name, as it lies in flash."""
    half = config.n_fft // 2
    bands, weights = sparse_mel_bank(config)
    blocks = -(-config.n_mfcc // DCT_BLOCK)
    dct = np.zeros((config.n_mels, blocks * DCT_BLOCK), np.float32)
    dct[:, : config.n_mfcc] = dct_matrix(config)
    return {
        "frontend_window": hann_window(config) / np.float32(65536),
        "frontend_radices": np.array([*fft_radices(half), 0], np.uint8),
        "frontend_twiddles": _unit_roots(half, half),
        "frontend_split_twiddles": _unit_roots(config.n_fft, half // 2 + 1),
        "frontend_bands": bands,
        "frontend_mel_weights": weights,
        "frontend_dct": np.ascontiguousarray(dct.reshape(config.n_mels, blocks, DCT_BLOCK).transpose(1, 0, 2)).reshape(-1),
    }


def table_bytes(config: MfccConfig) -> int:
    """Flash that the generated tables take, multiplier and offset included."""
    return sum(table.nbytes for table in tables(config).values()) + 2 * 4 * config.n_mfcc


def generate_frontend(config: MfccConfig, multiplier: Sequence[float], offset: Sequence[float], out: Path) -> None:
    """Writes frontend_config.h and frontend_tables.c into the folder ``out``, and the fixed-point tables into its folder fixed/.

    multiplier, offset: (n_mfcc,), float32 values (tinyflow/features/quantize.py). Floats are written with nine
    significant digits, which read back as the same float32.
    """
    constants = tables(config)
    for name, values in (("multiplier", multiplier), ("offset", offset)):
        array = np.asarray(values, dtype=np.float32)
        if array.shape != (config.n_mfcc,) or not np.isfinite(array).all():
            raise TinyflowError(f"front end {config.name}: {name} of shape {array.shape}, or not finite", f"it is ({config.n_mfcc},) finite floats")
        constants[f"frontend_{name}"] = array
    out = Path(out)
    write_text(out / "frontend_config.h", _config_header(config, len(constants["frontend_mel_weights"])))
    write_text(out / "frontend_tables.c", _tables_source(config, constants))
    generate_fixed_frontend(config, constants["frontend_multiplier"], constants["frontend_offset"], fft_radices(config.n_fft // 2), out / FIXED)


class HostFrontend:
    """The generated C of ``c_folder``, built with the host's compiler: in floats, or ``fixed`` as for a board without FPU."""

    def __init__(self, c_folder: Path, flags: tuple[str, ...] = (), fixed: bool = False):
        c_folder = Path(c_folder)
        self.values = read_config_header(c_folder / "frontend_config.h")
        folder = FIRMWARE / ("frontend_fixed" if fixed else "frontend")
        tables = c_folder / (f"{FIXED}/frontend_fixed_tables.c" if fixed else "frontend_tables.c")
        include = [c_folder, tables.parent, folder, FIRMWARE / "frontend"]
        with tempfile.TemporaryDirectory(prefix="tinyflow-frontend-") as build:  # loaded code outlives its file
            library = build_host_library([*sorted(folder.glob("*.c")), tables], include, Path(build) / "frontend.so", flags)
        self._clip = library.frontend_clip
        self._clip.restype = ctypes.c_size_t
        self._clip.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]

    def frames(self, samples: int) -> int:
        window, hop = self.values["WINDOW"], self.values["HOP"]
        return 0 if samples < window else 1 + (samples - window) // hop

    def features(self, audio: np.ndarray) -> np.ndarray:
        """int16 (N, samples) to int8 (N, frames, n_mfcc)."""
        if audio.dtype != np.int16 or audio.ndim != 2:
            raise TinyflowError(f"the C front end got {audio.dtype} of shape {audio.shape}", "audio is int16 (N, samples)")
        audio = np.ascontiguousarray(audio)
        features = np.empty((len(audio), self.frames(audio.shape[1]), self.values["MFCC"]), np.int8)
        for clip, row in zip(audio, features):
            if self._clip(clip.ctypes.data, clip.size, row.ctypes.data) != len(row):
                raise TinyflowError(f"the C front end did not give {len(row)} frames", "generate it again: tinyflow compile")
        return features


def read_config_header(path: Path) -> dict[str, int]:
    """The whole numbers of a frontend_config.h, without their FRONTEND_ prefix."""
    if not Path(path).is_file():
        raise TinyflowError(f"{path} does not exist", "generate the C first: tinyflow compile")
    found = re.findall(r"^#define FRONTEND_(\w+) (\d+)$", Path(path).read_text(), re.MULTILINE)
    return {name: int(value) for name, value in found}


def _unit_roots(order: int, count: int) -> np.ndarray:
    """exp(-2 pi i k / order) for k < count, float32 (count, 2); whole eighths of a turn are exact to the last bit."""
    k = np.arange(count)
    angle = 2 * np.pi * k / order
    roots = np.stack([np.cos(angle), -np.sin(angle)], axis=1)
    roots[np.abs(roots) < 1e-15] = 0.0
    return roots.astype(np.float32)


def _config_header(config: MfccConfig, mel_weights: int) -> str:
    values = {
        "SAMPLE_RATE": config.sample_rate,
        "WINDOW": config.window,
        "HOP": config.hop,
        "FFT": config.n_fft,
        "MELS": config.n_mels,
        "MFCC": config.n_mfcc,
        "MEL_WEIGHTS": mel_weights,
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
        kind = {"frontend_radices": "uint8_t", "frontend_bands": "frontend_band"}.get(name, "frontend_complex" if pairs else "float")
        rows = ["{" + ", ".join(map(_literal, row)) + "}" for row in table] if pairs else [_literal(value) for value in table]
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
