"""Waveform augmentation: each effect alone, measured."""

import numpy as np

from tinyflow.data.augment import augment, shifted
from tinyflow.recipe import Augment

AUDIO = (0.2 * np.random.default_rng(0).standard_normal((64, 16000))).clip(-1, 1).astype(np.float32)
NOISE = [np.random.default_rng(1).integers(-5000, 5000, 50000).astype(np.int16)]  # as Dataset.background gives it


def rng(seed=0):
    return np.random.default_rng(seed)


def test_off_by_default():
    answer = augment(AUDIO, NOISE, Augment(), rng())
    np.testing.assert_array_equal(answer, AUDIO)
    assert answer is not AUDIO and answer.dtype == np.float32


def test_shift():
    ramp = np.tile(np.linspace(0.1, 0.9, 16000, dtype=np.float32), (64, 1))
    answer = augment(ramp, [], Augment(shift_ms=100), rng())
    moves = []
    for clip in answer:
        lead = int(np.argmax(clip > 0))
        by = lead if lead else -int(np.argmax(clip[::-1] > 0))
        moves.append(by)
        np.testing.assert_array_equal(clip, shifted(ramp[0], by))
    assert -1600 <= min(moves) < -800 and 800 < max(moves) <= 1600
    np.testing.assert_array_equal(shifted(np.arange(1, 6), -2), [3, 4, 5, 0, 0])
    np.testing.assert_array_equal(shifted(np.arange(1, 6), 2), [0, 0, 1, 2, 3])


def test_gain():
    gain_db = 20 * np.log10(
        np.abs(augment(AUDIO / 10, [], Augment(gain_db=6), rng())).max(axis=1) / np.abs(AUDIO / 10).max(axis=1)
    )
    assert -6.01 < gain_db.min() < -4 and 4 < gain_db.max() < 6.01


def test_noise_ratio_and_share():
    answer = augment(AUDIO, NOISE, Augment(noise_probability=0.5, noise_snr_db=(5.0, 30.0)), rng())
    added = answer.astype(float) - AUDIO
    noisy = np.abs(added).max(axis=1) > 0
    assert 20 < noisy.sum() < 44
    # clipping at full scale touches the loudest samples only
    snr = 10 * np.log10((AUDIO[noisy].astype(float) ** 2).mean(axis=1) / (added[noisy] ** 2).mean(axis=1))
    assert 4.9 < snr.min() < 10 and 25 < snr.max() < 30.1


def test_silence_stays_silent_and_nothing_exceeds_full_scale():
    everything = Augment(shift_ms=100, gain_db=12, noise_probability=1.0, noise_snr_db=(-5.0, 0.0))
    assert not augment(np.zeros((4, 16000), np.float32), NOISE, everything, rng()).any()
    assert np.abs(augment(AUDIO * 4, NOISE, everything, rng())).max() == 1.0


def test_reproducible_and_input_untouched():
    before = AUDIO.copy()
    everything = Augment(shift_ms=100, gain_db=6, noise_probability=0.8)
    np.testing.assert_array_equal(augment(AUDIO, NOISE, everything, rng(3)), augment(AUDIO, NOISE, everything, rng(3)))
    np.testing.assert_array_equal(AUDIO, before)


def test_short_background():
    answer = augment(AUDIO, [np.array([100, -100, 50], np.int16)], Augment(noise_probability=1.0), rng())
    assert answer.shape == AUDIO.shape and np.isfinite(answer).all()
