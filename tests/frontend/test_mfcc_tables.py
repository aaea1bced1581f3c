"""The generated front end: its tables, its size, and parity gate (a) on the host."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from frontend_signals import recorded, signals

from tinyflow.errors import TinyflowError
from tinyflow.frontend.host import HostFrontend
from tinyflow.frontend.mel.c import fft_radices, mel_groups
from tinyflow.frontend.mel.tables import mel_bank
from tinyflow.frontend.mfcc.c import dct_folds, dct_tables, tables
from tinyflow.frontend.mfcc.config import TABLE_1, MfccConfig
from tinyflow.frontend.parity import Parity, compare
from tinyflow.frontend.quantize import FeatureQuantization
from tinyflow.frontend.registry import front_end_named
from tinyflow.frontend.scaler import Scaler

SCALE = 9 / 255  # int8 over 4.5 standard deviations to either side
SMALL = MfccConfig(window=128, hop=64, n_mels=80, n_mfcc=5)  # empty mel filters, and a DCT block partly filled


def mfcc(config: MfccConfig, audio: np.ndarray) -> torch.Tensor:
    """(N, frames, n_mfcc) by torch, in batches."""
    waveform = torch.from_numpy(audio.astype(np.float32) / 32768)
    return torch.cat([config.module()(batch) for batch in waveform.split(50)])


def parity(
    config: MfccConfig, training: np.ndarray, audio: np.ndarray, folder
) -> tuple[Parity, np.ndarray, np.ndarray]:
    """C against torch on ``audio``, with the scaler fitted on ``training``; and both features."""
    quantization = FeatureQuantization.of(Scaler.fit([mfcc(config, training)]), SCALE, -3)
    config.generate(quantization.multiplier, quantization.offset, folder)
    c = HostFrontend(folder).features(audio)
    reference = quantization.quantize(mfcc(config, audio).numpy())
    return compare(c, reference), c, reference


@pytest.mark.parametrize("config", TABLE_1 + (SMALL,), ids=lambda config: config.name)
def test_parity_on_synthetic_clips(config, tmp_path):
    made = signals()
    training = np.concatenate([made[kind] for kind in ("speech", "noise")])
    audio = np.concatenate([made[kind] for kind in ("espeak", "speech", "noise", "dither", "impulses") if kind in made])
    result, c, reference = parity(config, training, audio, tmp_path)
    assert c.shape == reference.shape == (len(audio), config.frames(), config.n_mfcc)
    assert result.passed, result
    assert np.ptp(c.astype(int)) > 150  # the comparison is of features that move


@pytest.mark.parametrize("config", TABLE_1, ids=lambda config: config.name)
def test_extreme_clips_stay_within_one_lsb(config, tmp_path):
    """Every frame of a steady tone is alike: one coefficient on a rounding boundary differs in all of them. And beside
    a full-scale tone the other bins hold float32's own noise, torch's as well as ours. No share is asserted here;
    tests/firmware/test_frontend_c.py holds the C to the error torch itself makes."""
    made = signals()
    training = np.concatenate([made[kind] for kind in ("speech", "noise")])
    audio = np.concatenate([made[kind] for kind in ("silence", "dc", "tone", "chirp", "clipping", "nyquist", "onset")])
    result, *_ = parity(config, training, audio, tmp_path)
    assert result.largest_lsb <= 1, result
    assert result.share < 0.01, result


@pytest.mark.shared_data
@pytest.mark.parametrize("config", TABLE_1, ids=lambda config: config.name)
def test_parity_on_recordings(config, tmp_path, recordings):
    audio = recorded(recordings, streams=8, clips=15)
    assert len(audio) >= 80
    result, *_ = parity(config, audio, audio, tmp_path)
    assert result.passed, result


def test_parity_notices_a_wrong_table(tmp_path):
    """The gate would catch a mel weight that is off by one per cent."""
    made = signals()["speech"]
    config = TABLE_1[6]
    _, _, reference = parity(config, made, made, tmp_path)
    source = (tmp_path / "frontend_tables.c").read_text()
    weights = tables(config, config.n_mfcc)["frontend_mel_weights"]
    weight = weights[weights != 0][100]
    wrong = source.replace(f"{weight:.9g}f", f"{weight * 1.01:.9g}f")
    assert wrong != source
    (tmp_path / "frontend_tables.c").write_text(wrong)
    assert not compare(HostFrontend(tmp_path).features(made), reference).passed


def test_literals_read_back_exactly(tmp_path):
    config = TABLE_1[1]
    rng = np.random.default_rng(0)
    multiplier = rng.normal(size=80).astype(np.float32)
    offset = np.append(rng.normal(size=77), [1.0, -3e-30, 1e20]).astype(np.float32)
    config.generate(multiplier, offset, tmp_path)
    source = (tmp_path / "frontend_tables.c").read_text()
    constants = tables(config, config.n_mfcc)
    order = constants["frontend_order"]
    assert sorted(order) == list(range(80))
    drift = dct_tables(config.n_mels, config.n_mfcc)[1]
    for name, table in {
        **constants,
        "frontend_scaling": np.stack([drift, multiplier[order], offset[order]], 1).reshape(-1),
    }.items():
        body = re.search(rf"const \w+ {name}\[(\d+)\] = {{\n(.*?)}};", source, re.DOTALL)
        assert int(body[1]) == len(table)
        numbers = re.findall(r"-?[\d.]+(?:e[+-]\d+)?", body[2])
        assert np.array_equal(np.array(numbers, dtype=np.float64).astype(table.dtype).reshape(table.shape), table), name
    header = (tmp_path / "frontend_config.h").read_text()
    for line in (
        "SAMPLE_RATE 16000",
        "WINDOW 400",
        "HOP 100",
        "FFT 400",
        "MELS 80",
        "MFCC 80",
        "LOG_OFFSET 9.99999997e-07f",
    ):
        assert f"#define FRONTEND_{line}\n" in header


def test_generated_text_depends_on_nothing_else(tmp_path):
    for name in ("a", "b"):
        TABLE_1[6].generate([0.1] * 40, [1.0] * 40, tmp_path / name)
    for file in ("frontend_config.h", "frontend_tables.c"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("config", (TABLE_1[0], TABLE_1[1], TABLE_1[5], SMALL), ids=lambda config: config.name)
def test_groups_are_the_bank(config):
    groups, weights = mel_groups(config)
    bank = np.zeros((config.n_fft // 2 + 1 + 4, config.n_mels + 1), np.float32)  # filter -1 is the last column
    at = 0
    for group, (first, blocks) in enumerate(groups):
        run = weights[at : at + blocks].reshape(-1, 2)
        bank[first : first + len(run), group - 1] += run[:, 0]
        bank[first : first + len(run), group] += run[:, 1]
        at += blocks
    assert at == len(weights) and not bank[:, -1].any() and not bank[-4:].any()
    assert np.array_equal(bank[:-4, :-1], mel_bank(config))
    assert config.table_bytes() < 25_000


@pytest.mark.parametrize(
    "name",
    [
        "640/320/40",
        "640/320/40/mfcc10",
        "640/320/80",
        "400/200/26/mfcc13",
        "640/320/64/mfcc7",
        "400/200/4",
        "400/200/1",
    ],
)
def test_folded_dct_is_the_dct(name):
    """The stages of firmware/frontend/frontend.c in numpy, on the generated matrices."""
    config = front_end_named(name)
    folds, matrix = dct_folds(config.n_mels, config.n_mfcc), config.matrix().astype(np.float64)
    table, drift = (part.astype(np.float64) for part in dct_tables(config.n_mels, config.n_mfcc))
    x, outputs, size, left, at = (
        np.random.default_rng(0).normal(size=config.n_mels),
        [],
        config.n_mels,
        config.n_mfcc,
        0,
    )
    expected = x @ matrix

    def products(values, count):
        nonlocal at
        rows, columns = -(-count // 5), -(-len(values) // 4)
        part = table[at : at + rows * columns * 20].reshape(rows, columns, 4, 5)
        at += part.size
        padded = np.pad(values, (0, columns * 4 - len(values))).reshape(columns, 4)
        return np.einsum("rcio,ci->ro", part, padded).reshape(-1)[:count]

    for _ in range(folds):
        size //= 2
        x[:size], x[size : 2 * size] = x[:size] + x[size : 2 * size][::-1], (x[:size] - x[size : 2 * size][::-1])[::-1]
        outputs.append(products(x[size : 2 * size], left // 2))
        left -= left // 2
    outputs.append(products(x[:size], left))
    assert at == len(table)
    assert folds == {"640/320/40": 2, "640/320/40/mfcc10": 1, "640/320/80": 3}.get(name, folds)
    order = tables(config, config.n_mfcc)["frontend_order"]
    found = np.concatenate(outputs)
    assert order[config.n_mfcc - len(outputs[-1])] == 0
    assert np.allclose(found + drift * expected[0], expected[order], atol=1e-5)


@pytest.mark.parametrize("points", [1, 2, 5, 64, 200, 240, 256, 320, 360, 375, 500, 512])
def test_radices(points):
    radices = fft_radices(points)
    assert np.prod(radices, dtype=int) == points and set(radices) <= {2, 3, 4, 5} and radices.count(2) <= 1


def test_refuses(tmp_path):
    with pytest.raises(TinyflowError, match=r"multiplier of shape \(3,\)"):
        TABLE_1[6].generate([1.0] * 3, [0.0] * 40, tmp_path)
    with pytest.raises(TinyflowError, match="offset.*not finite"):
        TABLE_1[6].generate([1.0] * 40, [np.inf] * 40, tmp_path)
    with pytest.raises(TinyflowError, match="prime factor"):
        fft_radices(7)
    with pytest.raises(TinyflowError, match="no mel filter covers a bin"):
        MfccConfig(window=2, hop=1, n_mels=1).generate([1.0], [0.0], tmp_path)
    with pytest.raises(TinyflowError, match="frontend_config.h does not exist"):
        HostFrontend(tmp_path)


def test_host_frontend_takes_int16_clips_of_any_length(tmp_path):
    config = TABLE_1[6]
    config.generate([0.1] * 40, [0.0] * 40, tmp_path)
    frontend = HostFrontend(tmp_path)
    audio = np.random.default_rng(0).integers(-999, 999, size=(2, 5000)).astype(np.int16)
    features = frontend.features(audio)
    assert features.shape == (2, config.frames(5000), 40) and features.dtype == np.int8
    assert frontend.features(audio[:, :639]).shape == (2, 0, 40)
    assert frontend.features(audio[:, :640]).shape == (2, 1, 40)
    assert np.array_equal(
        frontend.features(audio[:, ::2][:, :2000]), frontend.features(np.ascontiguousarray(audio[:, ::2][:, :2000]))
    )
    with pytest.raises(TinyflowError, match="float32 of shape"):
        frontend.features(audio.astype(np.float32))
    with pytest.raises(TinyflowError, match=r"\(5000,\)"):
        frontend.features(audio[0])


def test_two_front_ends_live_side_by_side(tmp_path):
    """ctypes loads a path once: each HostFrontend is a library of its own."""
    audio = signals()["noise"][:1]
    for name, multiplier in (("a", 0.5), ("b", 1.0)):
        TABLE_1[6].generate([multiplier] * 40, [0.0] * 40, tmp_path / name)
    a, b = HostFrontend(tmp_path / "a"), HostFrontend(tmp_path / "b")
    assert np.ptp(a.features(audio).astype(int)) < np.ptp(b.features(audio).astype(int))


def test_generating_c_imports_no_torch():
    code = (
        "import sys, tinyflow.frontend.mfcc.c, tinyflow.frontend.quantize; sys.exit('torch' in sys.modules or"
        " 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
