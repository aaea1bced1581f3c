"""The front end in integers (firmware/frontend_fixed): its steps against float64, its features against torch, what it
compiles to.
"""

import ctypes
import re
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from frontend_signals import recorded, signals

from tinyflow.artefacts import FIRMWARE
from tinyflow.errors import TinyflowError
from tinyflow.frontend.host import HostFrontend, source_folders, sources
from tinyflow.frontend.mel.c import fft_radices
from tinyflow.frontend.mel.c_fixed import mel_tables
from tinyflow.frontend.mel.tables import hann_window, mel_bank
from tinyflow.frontend.mfcc import c_fixed as dct_fixed
from tinyflow.frontend.mfcc.config import TABLE_1, MfccConfig
from tinyflow.frontend.parity import compare
from tinyflow.frontend.quantize import FeatureQuantization
from tinyflow.frontend.scaler import Scaler
from tinyflow.reference.hostlib import build_host_library

FOLDER = FIRMWARE / "frontend_fixed"
CONFIG = TABLE_1[6]  # 640/320/40
OTHERS = (
    MfccConfig(window=128, hop=64, n_mels=80, n_mfcc=5),
    MfccConfig(window=400, hop=200, n_mels=26, n_mfcc=13, n_fft=480),
    MfccConfig(n_mfcc=10, n_fft=1024),
)
NAMED = {"ids": lambda config: config.name}
needs_cross_gcc = pytest.mark.skipif(
    not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc: make setup"
)


def mfcc(config: MfccConfig, audio: np.ndarray) -> np.ndarray:
    waveform = torch.from_numpy(audio.astype(np.float32) / 32768)
    return torch.cat([config.module()(batch) for batch in waveform.split(50)]).numpy()


def library(config: MfccConfig, folder, multiplier=1.0, offset=0.0, flags=()) -> ctypes.CDLL:
    """With the static buffers of frontend.c within reach."""
    ones = np.ones(config.n_mfcc, np.float32)
    config.generate(ones * np.float32(multiplier), ones * np.float32(offset), folder)
    probe = '#include "frontend.c"\nint64_t *probe_coefficients(void) { return coefficients; }\n'
    (folder / "probe.c").write_text(
        probe + "int probe_shift(void) { return FRONTEND_FIXED_SHIFT; }\nint probe_peak(void) { return"
        " FRONTEND_FIXED_PEAK; }\n"
    )
    files = [
        folder / "probe.c",
        folder / "fixed" / "frontend_fixed_tables.c",
        FOLDER / "fft.c",
        FOLDER / "log2.c",
        FIRMWARE / "frontend" / "frames.c",
    ]
    return build_host_library(
        files, [folder, folder / "fixed", *source_folders("mfcc", fixed=True)], folder / "probe.so", flags
    )


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return array.ctypes.data_as(ctypes.c_void_p)


# Steps


def test_log2_is_within_its_bound(tmp_path):
    """Half of 2^-24 is the rounding's own; log2.c promises less than 0.9."""
    (tmp_path / "probe.c").write_text(
        '#include "frontend_fixed_tables.h"\nvoid probe(const uint64_t *x, int32_t *out, size_t n) { for (size_t i = 0;'
        " i < n; i++) out[i] = frontend_fixed_log2(x[i]); }\n"
    )
    CONFIG.generate([1.0] * 40, [0.0] * 40, tmp_path)
    probe = build_host_library(
        [tmp_path / "probe.c", FOLDER / "log2.c"], [tmp_path, tmp_path / "fixed", FOLDER], tmp_path / "log2.so"
    )
    rng = np.random.default_rng(0)
    mantissas = np.arange(1 << 31, 1 << 32, 1999, dtype=np.uint64) << np.uint64(32)
    mantissas |= rng.integers(0, 1 << 32, len(mantissas), dtype=np.uint64)
    small = np.arange(1, 70000, dtype=np.uint64)
    edges = np.uint64(1) << np.arange(64, dtype=np.uint64)
    worst = 0.0
    for x in (
        mantissas,
        mantissas[::7] >> np.uint64(13),
        mantissas[::7] >> np.uint64(40),
        small,
        edges,
        edges[1:] - np.uint64(1),
        ~np.uint64(0) - small,
    ):
        x, out = np.ascontiguousarray(x), np.empty(len(x), np.int32)
        probe.probe(pointer(x), pointer(out), ctypes.c_size_t(len(x)))
        # extended precision: the float64 nearest to x may lie beyond the next power of two
        worst = max(worst, float(np.abs(out - np.log2(x.astype(np.longdouble)) * 2**24).max()))
        assert (np.diff(out[np.argsort(x)]) >= -1).all()
    assert 0.5 < worst < 0.9
    assert not (
        np.log2(edges) * 2**24
        - [ctypes.c_int32(probe.frontend_fixed_log2(ctypes.c_uint64(int(x)))).value for x in edges]
    ).any()


@pytest.mark.parametrize("n_fft", [4, 6, 10, 18, 50, 64, 250, 360, 400, 512, 640, 750, 2048])
def test_power_spectrum(n_fft, tmp_path):
    """Noise and full-scale tones, as loud as a frame can be: amplitudes to 5 units of the 2^27 or
    so that they reach.
    """
    config = MfccConfig(window=n_fft, hop=n_fft, n_mels=1)
    probe, half, divided = library(config, tmp_path), n_fft // 2, 2 * 4.0 ** len(fft_radices(n_fft // 2))
    probe.frontend_fixed_power.restype = ctypes.POINTER(ctypes.c_uint64)
    rng, time = np.random.default_rng(n_fft), np.arange(n_fft)
    full = hann_window(config) * 2.0 ** (probe.probe_peak() - 3)
    for wave in (
        rng.uniform(-1, 1, n_fft),
        np.sign(rng.normal(size=n_fft)),
        np.ones(n_fft),
        1.0 - time % 2 * 2,
        np.sin(2 * np.pi * 0.13 * time),
    ):
        frame, scratch = np.zeros((2, n_fft + 2), np.int32)
        frame[:n_fft] = np.rint(wave * full)
        exact = np.abs(np.fft.rfft(frame[:n_fft].astype(np.float64))) / divided
        power = np.ctypeslib.as_array(probe.frontend_fixed_power(pointer(frame), pointer(scratch)), (half + 1,))
        assert np.abs(np.sqrt(power.astype(np.float64)) - exact).max() < 5


@pytest.mark.parametrize(
    "config",
    (TABLE_1[0], TABLE_1[1], TABLE_1[5], *OTHERS, MfccConfig(n_mels=1), MfccConfig(window=50, n_mels=2, hop=50)),
    **NAMED,
)
def test_shares_are_the_mel_bank(config):
    values, tables = mel_tables(config)
    dense, bin, at = np.zeros(mel_bank(config).shape), values["FIRST_BIN"], 0
    for segment, count in enumerate(tables["segments"]):
        for share in tables["shares"][at : at + count] / 2.0**32:
            if segment < config.n_mels:
                dense[bin, segment] += share
            if segment:
                dense[bin, segment - 1] += 1 - share
            bin += 1
        at += count
    assert at == len(tables["shares"]) and np.abs(dense - mel_bank(config)).max() < 2e-7


def test_coefficients_are_float64s(tmp_path):
    """The folded DCT and its drift: speech in float64 throughout, with torchaudio's own cosines."""
    from tinyflow.frontend.mel.tables import LOG_OFFSET

    for config in (CONFIG, TABLE_1[1], MfccConfig(n_mels=39, n_mfcc=20), MfccConfig(n_mels=26, n_mfcc=13)):
        (tmp_path / config.name.replace("/", "-")).mkdir()
        probe = library(config, tmp_path / config.name.replace("/", "-"), 7.0, -3.0)
        probe.probe_coefficients.restype = ctypes.POINTER(ctypes.c_int64)
        _, tables = dct_fixed.tables(config, config.n_mfcc, np.full(config.n_mfcc, 7.0), np.zeros(config.n_mfcc))
        for clip in signals()["speech"][::2]:
            frame = np.ascontiguousarray(clip[3000 : 3000 + config.window])
            power = np.abs(np.fft.rfft(frame / 32768.0 * hann_window(config), config.n_fft)) ** 2
            exact = (
                7
                * (
                    np.log(power @ mel_bank(config).astype(np.float64) + float(np.float32(LOG_OFFSET)))
                    @ config.matrix().astype(np.float64)
                )
                - 3
            )
            probe.frontend_frame(pointer(frame), pointer(np.zeros(config.n_mfcc, np.int8)))
            found = np.ctypeslib.as_array(probe.probe_coefficients(), (config.n_mfcc,)) / 2.0 ** probe.probe_shift()
            assert np.abs(found - exact[tables["order"]]).max() < 1.5e-3  # of a step of the int8


def test_steps_in_order_are_a_frame_and_a_stream_is_a_clip(tmp_path):
    probe = library(CONFIG, tmp_path, 2.0, 3.0)
    clip = signals()["speech"][2]
    whole = np.zeros((49, 40), np.int8)
    assert (
        probe.frontend_clip(pointer(clip), ctypes.c_size_t(16000), pointer(whole)) == 49
        and np.ptp(whole.astype(int)) > 100
    )
    stepwise = np.zeros(40, np.int8)
    for step in range(6):
        probe.frontend_step(step, pointer(clip[9 * 320 :].copy()), pointer(stepwise))
    assert np.array_equal(whole[9], stepwise)
    for size in (1, 319, 640, 7000):
        probe.frontend_reset()
        streamed, frames = np.zeros((49 + 16000 // 320 + 1, 40), np.int8), 0
        for start in range(0, 16000, size):
            piece = clip[start : start + size].copy()
            frames += probe.frontend_push(pointer(piece), ctypes.c_size_t(len(piece)), pointer(streamed[frames:]))
        assert frames == 49 and np.array_equal(streamed[:49], whole)


def test_quantize_is_half_to_even(tmp_path):
    probe = library(CONFIG, tmp_path)
    probe.probe_coefficients.restype = ctypes.POINTER(ctypes.c_int64)
    coefficients, shift = np.ctypeslib.as_array(probe.probe_coefficients(), (40,)), probe.probe_shift()
    halves = np.arange(-300, 300)
    for start in range(0, 600, 40):
        value = halves[start : start + 40].astype(np.int64)
        features = np.zeros(40, np.int8)
        coefficients[:] = np.sort(value) << (shift - 1)
        probe.frontend_step(5, None, pointer(features))
        assert np.array_equal(np.sort(features), np.clip(np.rint(np.sort(value) / 2), -128, 127))
    for value, expected in (
        ((100 << shift) + (1 << (shift - 1)) + (1 << (shift - 10)), 101),
        (-(1 << 61), -128),
        ((1 << 61), 127),
    ):
        coefficients[:] = value
        probe.frontend_step(5, None, pointer(features))
        assert (features == expected).all()


def test_no_value_leaves_its_word(tmp_path):
    """Under the sanitizer, which aborts on a signed overflow: square waves at full scale reach what bounds allow."""
    for config in (TABLE_1[0], *OTHERS[1:]):
        folder = tmp_path / config.name.replace("/", "-")
        config.generate(np.full(config.n_mfcc, 40.0), np.full(config.n_mfcc, 90.0), folder)
        time, rng = np.arange(4000), np.random.default_rng(1)
        square = [
            np.where(np.cos(2 * np.pi * f * time + rng.uniform(0, 6)) >= 0, 32767, -32768)
            for f in (0.0, 0.5, 1 / 3, 0.25, *rng.uniform(0, 0.5, 20))
        ]
        audio = np.concatenate([np.stack(square).astype(np.int16), *(clips[:1, :4000] for clips in signals().values())])
        flags = ("-fsanitize=undefined", "-fno-sanitize-recover=all")
        assert np.array_equal(
            HostFrontend(folder, flags, fixed=True).features(audio), HostFrontend(folder, fixed=True).features(audio)
        )


def test_a_coefficient_without_variance_is_refused_and_a_far_offset_saturates(tmp_path):
    with pytest.raises(TinyflowError, match="no room for fixed point"):
        CONFIG.generate(np.full(40, 1e9), np.zeros(40), tmp_path)
    offset = np.zeros(40, np.float32)
    offset[:3] = 1e20, -1e20, 5
    CONFIG.generate(np.ones(40), offset, tmp_path)
    features = HostFrontend(tmp_path, fixed=True).features(signals()["speech"])
    assert (
        (features[..., 0] == 127).all()
        and (features[..., 1] == -128).all()
        and np.ptp(features[..., 2].astype(int)) > 2
    )


# Features against torch (docs/frontend-fixed.md has the figures)


@pytest.fixture(scope="module", params=(*TABLE_1, *OTHERS), **NAMED)
def built(request, tmp_path_factory):
    config, made = request.param, signals()
    quantization = FeatureQuantization.of(
        Scaler.fit([torch.from_numpy(mfcc(config, np.concatenate([made["speech"], made["noise"]])))]), 9 / 255, -3
    )
    folder = tmp_path_factory.mktemp("fixed")
    config.generate(quantization.multiplier, quantization.offset, folder)
    return SimpleNamespace(
        config=config, made=made, quantization=quantization, frontend=HostFrontend(folder, fixed=True)
    )


def parity(built, audio):
    return compare(built.frontend.features(audio), built.quantization.quantize(mfcc(built.config, audio)))


def test_parity_on_synthetic_clips(built):
    """The gate of the float front end: at most 1 LSB, in at most 0.1 % of the values."""
    result = parity(
        built,
        np.concatenate(
            [built.made[kind] for kind in ("espeak", "speech", "noise", "dither", "silence") if kind in built.made]
        ),
    )
    assert result.passed, result


def test_extreme_clips_stay_within_one_lsb(built):
    """As in tests/compile/test_frontend.py: frames of a tone are all alike, and beside it the bins
    hold rounding noise.
    """
    result = parity(
        built,
        np.concatenate(
            [built.made[kind] for kind in ("dc", "tone", "chirp", "clipping", "nyquist", "impulses", "onset")]
        ),
    )
    assert result.largest_lsb <= 1 and result.share < 0.01, result


@pytest.mark.shared_data
def test_parity_on_recordings(built, recordings):
    audio = recorded(recordings, streams=8, clips=15)
    assert len(audio) >= 80
    result = parity(built, audio)
    assert result.passed, result


# Cortex-M3 and M0+


@needs_cross_gcc
@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m0plus"])
def test_no_float_and_no_library_but_long_arithmetic(core, tmp_path):
    TABLE_1[1].generate(np.ones(80), np.zeros(80), tmp_path)
    objects = []
    for source in (
        *sources("mfcc", fixed=True),
        tmp_path / "fixed" / "frontend_fixed_tables.c",
    ):
        objects.append(tmp_path / f"{source.stem}.o")
        strict = [
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wpedantic",
            "-Wconversion",
            "-Wdouble-promotion",
            "-Wno-sign-conversion",
        ]
        folders = (tmp_path, tmp_path / "fixed", *source_folders("mfcc", fixed=True))
        include = [f"-I{folder}" for folder in folders]
        command = [
            "arm-none-eabi-gcc",
            f"-mcpu={core}",
            "-mthumb",
            "-std=c99",
            "-O2",
            *strict,
            *include,
            "-c",
            str(source),
            "-o",
            str(objects[-1]),
        ]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
    listing = subprocess.run(
        ["arm-none-eabi-nm", *map(str, objects)], capture_output=True, text=True, check=True
    ).stdout
    undefined, defined = (set(re.findall(rf"^ *\w* {kind} (\w+)$", listing, re.MULTILINE)) for kind in ("U", "[TRDBb]"))
    allowed = {"memcpy", "memset"} | (
        {"__aeabi_lmul", "__clzsi2", "__aeabi_llsl"} if core == "cortex-m0plus" else set()
    )
    assert "frontend_push" in defined and undefined - defined <= allowed


@needs_cross_gcc
def test_all_kernels_compile_for_cortex_m0plus(tmp_path):
    """Armv6-M: no unaligned access, no hardware division, no DSP extension."""
    flags = ["-mcpu=cortex-m0plus", "-mthumb", "-std=c99", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror"]
    sources = sorted((FIRMWARE / "kernels").glob("*.c"))
    assert len(sources) > 15
    command = [
        "arm-none-eabi-gcc",
        *flags,
        f"-I{FIRMWARE / 'kernels'}",
        f"-I{FIRMWARE / 'frontend'}",
        "-c",
        *map(str, sources),
    ]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
