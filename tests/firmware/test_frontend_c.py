"""The C of firmware/frontend, step by step against float64, and what it compiles to on a Cortex-M4F."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
import torch
from frontend_signals import signals

from tinyflow.artefacts import FIRMWARE
from tinyflow.frontend.host import HostFrontend, source_folders, sources
from tinyflow.frontend.mel.tables import LOG_OFFSET, hann_window, mel_bank
from tinyflow.frontend.mfcc.config import TABLE_1, MfccConfig
from tinyflow.frontend.registry import front_end_named
from tinyflow.reference.hostlib import build_host_library

FOLDER = FIRMWARE / "frontend"
CONFIG = TABLE_1[6]  # 640/320/40
CORTEX_M4F = [
    "-mcpu=cortex-m4",
    "-mthumb",
    "-mfpu=fpv4-sp-d16",
    "-mfloat-abi=hard",
    "-O2",
    "-ffp-contract=off",
    "-std=c99",
]
needs_cross_gcc = pytest.mark.skipif(
    not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc: make setup"
)

# Opens the static buffers of frontend.c for inspection.
PROBE = """
#include "frontend.c"
void probe_mfcc(const int16_t *samples, float *out) {
  int8_t features[FRONTEND_FEATURES];
  frontend_frame(samples, features);
  for (int i = 0; i < FRONTEND_FEATURES; i++)
    out[frontend_order[i]] = fmaf(frontend_scaling[3 * i], mfcc[FRONTEND_DCT_FIRST], mfcc[i]);
}
void probe_log(const float *x, float *out, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = x[i];
  frontend_log(out, (uint32_t)count, 0.0f);
}
void probe_quantize(const float *x, int8_t *features) {
  for (int i = 0; i < FRONTEND_FEATURES; i++) mfcc[i] = x[frontend_order[i]];
  quantize(features);
}
"""


def library(config: MfccConfig, folder, multiplier=None, offset=None) -> ctypes.CDLL:
    ones = np.ones(config.n_mfcc, np.float32)
    config.generate(ones if multiplier is None else multiplier, 0 * ones if offset is None else offset, folder)
    (folder / "probe.c").write_text(PROBE)
    sources = [
        folder / "probe.c",
        folder / "frontend_tables.c",
        FOLDER / "fft.c",
        FOLDER / "log.c",
        FOLDER / "frames.c",
    ]
    return build_host_library(sources, [folder, *source_folders("mfcc", fixed=False)], folder / "probe.so")


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return array.ctypes.data_as(ctypes.c_void_p)


# log


def log_error(probe: ctypes.CDLL, x: np.ndarray) -> float:
    """Largest error of frontend_log over ``x`` beyond half an ulp of the float32 result, which its
    last rounding takes.
    """
    out, exact = np.empty_like(x), np.log(x.astype(np.float64))
    probe.probe_log(pointer(x), pointer(out), ctypes.c_size_t(len(x)))
    assert not out[x == 1].any()
    return float((np.abs(out - exact) - np.spacing(np.abs(out)) / 2).max())


def test_log_bound(tmp_path):
    """Every mantissa for the binades about 1, which is every mantissa of every binade: f P(f) does not see the
    exponent, and the product with ln 2, rounded to 2^-25 of itself, is off by 4e-8 at 2^+-20.
    """
    probe, one = library(CONFIG, tmp_path), 127 << 23
    near_one = np.arange(one - (1 << 23), one + (1 << 23), dtype=np.int64)
    low, high = np.array([1e-6, 1e8], np.float32).view(np.int32)
    worst = max(
        log_error(probe, bits.astype(np.int32).view(np.float32))
        for bits in (near_one[::2], near_one[1::2], np.arange(low, high, 97))
    )
    assert 2e-8 < worst < 1.2e-7, worst


def test_log_covers_all_normal_floats(tmp_path):
    x = np.arange(1 << 23, 0x7F800000, 10007, dtype=np.int32).view(np.float32)
    assert log_error(library(CONFIG, tmp_path), x) < 4e-7  # 126 times the error of ln 2


# FFT


@pytest.mark.parametrize(
    ("window", "n_fft"),
    [
        (640, 1024),
        (400, 512),
        (512, 1024),
        (511, 1024),
        (601, 1024),
        (300, 1024),
        (1023, 1024),
        (320, 640),
        (319, 640),
        (481, 640),
        (33, 64),
        (60, 100),
    ],
)
def test_power_spectrum_of_a_short_window(window, n_fft, tmp_path):
    """The first stage does not read what lies behind the window but one zero: here it is no number."""
    config = MfccConfig(window=window, hop=window, n_mels=1, n_fft=n_fft)
    probe = library(config, tmp_path)
    probe.frontend_power.restype = ctypes.POINTER(ctypes.c_float)
    filled = -(-window // 2) * 2 if n_fft % 8 == 0 and window >= n_fft // 2 else n_fft
    frame = np.append(
        np.random.default_rng(window).normal(size=window).astype(np.float32), np.zeros(filled - window, np.float32)
    )
    buffers = (
        np.append(frame / 2, np.full(n_fft + 4 - filled, np.nan, np.float32)),
        np.full(n_fft + 4, np.nan, np.float32),
    )
    power = np.ctypeslib.as_array(probe.frontend_power(*map(pointer, buffers)), (n_fft // 2 + 1,))
    exact = np.abs(np.fft.rfft(frame.astype(np.float64), n_fft)) ** 2
    assert np.abs(np.sqrt(power) - np.sqrt(exact)).max() < 4e-7 * np.sqrt(exact).max() * np.log2(n_fft)


@pytest.mark.parametrize("n_fft", [4, 6, 10, 18, 50, 64, 128, 250, 360, 400, 480, 512, 640, 750, 1024, 2048])
def test_power_spectrum(n_fft, tmp_path):
    config = MfccConfig(window=n_fft, hop=n_fft, n_mels=1)
    probe = library(config, tmp_path)
    probe.frontend_power.restype = ctypes.POINTER(ctypes.c_float)
    rng = np.random.default_rng(n_fft)
    for _ in range(3):
        frame = rng.normal(size=n_fft).astype(np.float32)
        # halved: the split step doubles
        buffers = (
            np.append(frame / 2, np.zeros(4, np.float32)),
            np.full(n_fft + 4, np.nan, np.float32),
        )
        power = np.ctypeslib.as_array(probe.frontend_power(*map(pointer, buffers)), (n_fft // 2 + 1,))
        exact = np.abs(np.fft.rfft(frame.astype(np.float64))) ** 2
        assert np.abs(np.sqrt(power) - np.sqrt(exact)).max() < 4e-7 * np.sqrt(exact).max() * np.log2(n_fft)


# MFCC


def exact_mfcc(config: MfccConfig, audio: np.ndarray) -> np.ndarray:
    """float64 throughout, on the same tables."""
    frames = np.lib.stride_tricks.sliding_window_view(audio / 32768.0, config.window, axis=1)[:, :: config.hop]
    power = np.abs(np.fft.rfft(frames * hann_window(config), config.n_fft)) ** 2
    return np.log(power @ mel_bank(config).astype(np.float64) + float(np.float32(LOG_OFFSET))) @ config.matrix().astype(
        np.float64
    )


@pytest.mark.parametrize(
    "config",
    (*TABLE_1[::3], MfccConfig(window=480, hop=160, n_mels=26, n_mfcc=13, n_fft=512)),
    ids=lambda config: config.name,
)
def test_mfcc_is_as_exact_as_torchs(config, tmp_path):
    """On every kind of signal, the hardest too, the C's distance from float64 is at most about torch's own."""
    probe = library(config, tmp_path)
    for kind, audio in signals().items():
        exact, starts = exact_mfcc(config, audio), range(0, 16000 - config.window + 1, config.hop)
        c = np.empty(exact.shape, np.float32)
        for clip, rows in zip(audio, c):
            for start, row in zip(starts, rows):
                probe.probe_mfcc(pointer(clip[start : start + config.window]), pointer(row))
        torchs = config.module()(torch.from_numpy(audio.astype(np.float32) / 32768)).numpy()
        ours, theirs = (float(np.sqrt(np.mean((values - exact) ** 2))) for values in (c, torchs))
        assert ours < 1.5 * theirs + 5e-6, f"{kind}: {ours:.2e} against torch's {theirs:.2e}"


def test_steps_in_order_are_a_frame(tmp_path):
    probe = library(CONFIG, tmp_path, multiplier=np.full(40, 0.5), offset=np.full(40, 3.0))
    names = (ctypes.c_char_p * 6).in_dll(probe, "frontend_step_names")
    assert [name.decode() for name in names] == ["window", "fft", "mel", "log", "dct", "quantize"]
    frame, other = signals()["speech"][2][3000:3640].copy(), signals()["noise"][3][:640].copy()
    whole, stepwise = np.zeros(40, np.int8), np.zeros(40, np.int8)
    probe.frontend_frame(pointer(frame), pointer(whole))
    probe.frontend_frame(pointer(other), pointer(stepwise))
    assert not np.array_equal(whole, stepwise)
    for step in range(6):
        probe.frontend_step(step, pointer(frame), pointer(stepwise))
    assert np.array_equal(whole, stepwise) and np.ptp(whole.astype(int)) > 5


def test_quantize_is_pythons(tmp_path):
    from tinyflow.frontend.quantize import FeatureQuantization

    config = MfccConfig(n_mels=42)  # a DCT in one piece: no drift to add
    rng = np.random.default_rng(1)
    quantization = FeatureQuantization(
        rng.uniform(0.1, 3, 42).astype(np.float32), rng.uniform(-90, 90, 42).astype(np.float32)
    )
    probe = library(config, tmp_path, quantization.multiplier, quantization.offset)
    ties = np.arange(-300, 300, dtype=np.float32)[:, None] / 2
    values = np.concatenate(
        [
            rng.normal(size=(3000, 42)) * 60,
            (ties - quantization.offset) / quantization.multiplier,
            np.full((1, 42), 1e30),
        ]
    )
    values = values.astype(np.float32)
    out = np.empty(values.shape, np.int8)
    for row, features in zip(values, out):
        probe.probe_quantize(pointer(row), pointer(features))
    assert np.array_equal(out, quantization.quantize(values))
    assert {-128, 127} <= set(out.ravel().tolist())


# Streaming


@pytest.mark.parametrize(
    "name", ["640/320/40/mfcc10", "400/100/40/mfcc5", "400/400/20", "225/77/20/fft450", "400/160/20/fft1024"]
)
def test_a_stream_is_the_clip_however_it_is_cut(name, tmp_path):
    from hypothesis import given, settings
    from hypothesis import strategies as st

    config = front_end_named(name)
    probe = library(config, tmp_path, multiplier=np.full(config.n_mfcc, 3.0), offset=np.full(config.n_mfcc, 5.0))
    probe.frontend_push.restype = probe.frontend_clip.restype = ctypes.c_size_t
    audio = np.concatenate([signals()["speech"][4], signals()["noise"][4][:501]])

    @settings(max_examples=40, deadline=None)
    @given(
        st.integers(0, 3),
        st.lists(st.one_of(st.integers(0, 40), st.integers(0, 3 * config.window)), min_size=1, max_size=60),
    )
    def check(start, pieces):
        signal = audio[start : start + sum(pieces)].copy()  # odd starts: samples at two bytes from a word
        whole = np.zeros((config.frames(len(signal)) + 1, config.n_mfcc), np.int8)
        assert probe.frontend_clip(pointer(signal), ctypes.c_size_t(len(signal)), pointer(whole)) == len(whole) - 1
        probe.frontend_reset()
        found = []
        for end, piece in zip(np.cumsum(pieces), pieces):
            part = signal[max(0, end - piece) : end].copy()
            rows = np.full((2 + len(part) // config.hop, config.n_mfcc), 99, np.int8)
            count = probe.frontend_push(pointer(part), ctypes.c_size_t(len(part)), pointer(rows))
            assert count <= 1 + len(part) // config.hop and (rows[count:] == 99).all()
            found.append(rows[:count])
        assert np.array_equal(np.concatenate(found), whole[:-1])

    check()


def test_a_stream_begins_anew_after_reset(tmp_path):
    probe = library(CONFIG, tmp_path, multiplier=np.full(40, 3.0))
    probe.frontend_push.restype = ctypes.c_size_t
    audio, rows = signals()["speech"][4], np.zeros((3, 2, 40), np.int8)
    counts = []
    for row, begin in zip(rows, (True, True, False)):
        if begin:
            probe.frontend_reset()
        counts.append(probe.frontend_push(pointer(audio[4000:4700].copy()), ctypes.c_size_t(700), pointer(row)))
    assert counts == [1, 1, 2]
    assert np.array_equal(rows[0], rows[1]) and not np.array_equal(rows[0], rows[2])


def test_no_undefined_behaviour(tmp_path):
    """The whole front end over hard signals under the undefined-behaviour sanitizer, which aborts on a finding."""
    # radices 4 4 3 5, a partly filled DCT block
    config = MfccConfig(window=400, hop=200, n_mels=26, n_mfcc=13, n_fft=480)
    config.generate(np.full(13, 4.0), np.full(13, 90.0), tmp_path)
    audio = np.concatenate([clips[:1] for clips in signals().values()])
    plain = HostFrontend(tmp_path).features(audio)
    flags = ("-fsanitize=undefined,float-cast-overflow", "-fno-sanitize-recover=all")
    assert np.array_equal(HostFrontend(tmp_path, flags).features(audio), plain)


def test_same_answers_at_every_optimisation_level(tmp_path):
    CONFIG.generate(np.full(40, 2.0), np.zeros(40), tmp_path)
    audio = np.concatenate([clips[:1] for clips in signals().values()])
    answers = [HostFrontend(tmp_path, (level,)).features(audio) for level in ("-O0", "-O3")]
    assert np.array_equal(*answers)


# Cortex-M4F


@needs_cross_gcc
@pytest.mark.parametrize(
    "config", (CONFIG, TABLE_1[1], MfccConfig(window=480, n_fft=480, hop=160)), ids=lambda config: config.name
)
def test_cortex_m4f_needs_no_library(config, tmp_path):
    """Warning-free, and nothing is left to link but its own symbols and memcpy: no libm, no
    double-precision helpers.
    """
    config.generate(np.ones(config.n_mfcc), np.zeros(config.n_mfcc), tmp_path)
    objects = []
    for source in [*sources("mfcc", fixed=False), tmp_path / "frontend_tables.c"]:
        objects.append(tmp_path / f"{source.stem}.o")
        strict = ["-Wall", "-Wextra", "-Werror", "-Wdouble-promotion", "-Wconversion", "-Wpedantic"]
        command = [
            "arm-none-eabi-gcc",
            *CORTEX_M4F,
            *strict,
            f"-I{tmp_path}",
            *(f"-I{folder}" for folder in source_folders("mfcc", fixed=False)),
            "-c",
            str(source),
            "-o",
            str(objects[-1]),
        ]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
    defined, undefined = set(), set()
    for line in subprocess.run(
        ["arm-none-eabi-nm", *map(str, objects)], capture_output=True, text=True, check=True
    ).stdout.splitlines():
        if len(fields := line.split()) >= 2 and fields[-2] != ":":
            (undefined if fields[-2] == "U" else defined).add(fields[-1])
    assert "frontend_clip" in defined
    assert undefined - defined <= {"memcpy", "memset"}
    sizes = subprocess.run(
        ["arm-none-eabi-size", "-A", str(objects[-1])], capture_output=True, text=True, check=True
    ).stdout
    rodata = sum(int(line.split()[1]) for line in sizes.splitlines() if line.startswith(".rodata"))
    assert config.table_bytes() <= rodata <= config.table_bytes() + 16  # alignment
    assembly = subprocess.run(
        ["arm-none-eabi-objdump", "-d", *map(str, objects)], capture_output=True, text=True, check=True
    ).stdout
    assert "vfma.f32" in assembly and ".f64" not in assembly
