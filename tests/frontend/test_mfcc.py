"""Our MFCC against torchaudio's, which is its definition."""

import numpy as np
import pytest
import torch
import torchaudio
from frontend_signals import signals

from tinyflow.errors import TinyflowError
from tinyflow.frontend.mel.tables import hann_window, mel_bank
from tinyflow.frontend.mfcc.config import TABLE_1, MfccConfig

VARIANTS = (
    MfccConfig(window=480, hop=160, n_mels=26, n_mfcc=13),
    MfccConfig(window=640, hop=320, n_mels=40, n_mfcc=10, n_fft=1024),
    MfccConfig(window=400, hop=200, n_mels=80, n_fft=512),
    MfccConfig(sample_rate=8000, window=200, hop=80, n_mels=40),
    MfccConfig(window=128, hop=64, n_mels=80, n_mfcc=20),  # most of the low filters are narrower than a bin: empty
)


def torchaudio_mfcc(config: MfccConfig, waveform: torch.Tensor) -> torch.Tensor:
    """(N, frames, n_mfcc), our frames: where n_fft > window torchaudio wants the rest of n_fft around the window."""
    transform = torchaudio.transforms.MFCC(
        config.sample_rate, config.n_mfcc, log_mels=True, norm="ortho",
        melkwargs=dict(n_fft=config.n_fft, win_length=config.window, hop_length=config.hop, n_mels=config.n_mels,
                       center=False, mel_scale="htk", norm=None),
    )  # fmt: skip
    left = (config.n_fft - config.window) // 2
    padded = torch.nn.functional.pad(waveform, (left, config.n_fft - config.window - left))
    return transform(padded).transpose(1, 2)


def waveforms(*kinds: str) -> torch.Tensor:
    made = signals()
    return torch.from_numpy(np.concatenate([made[kind] for kind in kinds]).astype(np.float32) / 32768)


@pytest.mark.parametrize("config", TABLE_1 + VARIANTS, ids=lambda config: config.name)
def test_equals_torchaudio(config):
    natural = waveforms("speech", "noise", "silence", "dither", "impulses")
    ours, theirs = config.module()(natural), torchaudio_mfcc(config, natural)
    assert ours.shape == theirs.shape == (len(natural), config.frames(16000), config.n_mfcc)
    assert (ours - theirs).abs().max() < 2e-3
    assert (ours - theirs).abs().mean() < 5e-6
    # Full-scale pure tones leave bins at the noise of float32 itself, where the log shows it: torchaudio's too.
    extreme = waveforms("tone", "chirp", "dc", "nyquist", "clipping")
    assert (config.module()(extreme) - torchaudio_mfcc(config, extreme)).abs().max() < 0.2


@pytest.mark.parametrize("config", TABLE_1 + VARIANTS, ids=lambda config: config.name)
def test_tables_are_torchaudios(config):
    bank = torchaudio.functional.melscale_fbanks(
        config.n_fft // 2 + 1,
        0.0,
        config.sample_rate / 2,
        config.n_mels,
        config.sample_rate,
        norm=None,
        mel_scale="htk",
    ).numpy()
    assert np.array_equal(bank > 0, mel_bank(config) > 0)  # a weight that is not quite 0 would show in the log
    assert np.abs(bank - mel_bank(config)).max() < 1e-5  # an ulp of 8 kHz over the width of a filter
    assert (
        np.abs(torchaudio.functional.create_dct(config.n_mfcc, config.n_mels, "ortho").numpy() - config.matrix()).max()
        < 6e-8
    )
    assert np.abs(torch.hann_window(config.window).numpy() - hann_window(config)).max() < 1.2e-7


def test_empty_filters_give_the_log_of_the_offset():
    config = VARIANTS[-1]
    empty = np.flatnonzero(mel_bank(config).sum(0) == 0)
    assert len(empty) > 5
    full = MfccConfig(window=128, hop=64, n_mels=80)
    logs = full.module()(waveforms("noise")) @ torch.from_numpy(full.matrix()).T  # the orthonormal DCT undone
    assert (logs[..., empty] - np.log(1e-6)).abs().max() < 1e-3


def test_batches_do_not_matter():
    audio, mfcc = waveforms("speech", "noise"), TABLE_1[2].module()
    assert torch.allclose(mfcc(audio)[3:4], mfcc(audio[3:4]), atol=1e-4)


def test_frames_see_only_their_window():
    config, audio = TABLE_1[6], waveforms("noise")[:1]
    changed = audio.clone()
    changed[:, 5 * config.hop + config.window :] = 0  # after the last sample of frame 5
    before, after = config.module()(audio), config.module()(changed)
    assert torch.allclose(before[:, :6], after[:, :6], atol=1e-4)
    assert not torch.allclose(before[:, 6], after[:, 6], atol=1e-1)


def test_autocast_does_not_reach_it():
    audio, mfcc = waveforms("speech"), TABLE_1[6].module()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(mfcc(audio), TABLE_1[6].module()(audio))
    assert mfcc(audio).dtype == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_gpu_agrees(monkeypatch):
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", True)
    audio, mfcc = waveforms("speech", "noise"), TABLE_1[6].module()
    assert torch.allclose(mfcc(audio), mfcc.cuda()(audio.cuda()).cpu(), atol=2e-3)
    assert torch.backends.cuda.matmul.allow_tf32


def test_carries_no_weights():
    assert not TABLE_1[0].module().state_dict()


@pytest.mark.parametrize(
    "waveform",
    [torch.zeros(1, 639), torch.zeros(16000), torch.zeros(1, 16000, dtype=torch.int16)],
    ids=["short", "1-D", "int16"],
)
def test_refuses(waveform):
    with pytest.raises(TinyflowError, match="640/320/40"):
        TABLE_1[6].module()(waveform)
