"""One bank for many front ends gives what each would give by itself."""

import numpy as np
import pytest
import torch
from frontend_signals import signals

from tinyflow.errors import TinyflowError
from tinyflow.frontend.mel.bank import FeatureBank, stft_groups
from tinyflow.frontend.mfcc.config import TABLE_1, MfccConfig

MIXED = (
    MfccConfig(window=480, hop=240, n_mels=26, n_mfcc=13),
    MfccConfig(window=480, hop=160, n_mels=26),  # 240 is no multiple of 160: a second STFT
    MfccConfig(window=640, hop=320, n_mels=40, n_mfcc=10, n_fft=1024),  # another n_fft than the next
    MfccConfig(window=640, hop=160, n_mels=40, n_mfcc=10),
    MfccConfig(window=480, hop=480, n_mels=40),  # of either hop: of the first that fits
)


def waveforms(*kinds: str) -> torch.Tensor:
    made = signals()
    return torch.from_numpy(np.concatenate([made[kind] for kind in kinds]).astype(np.float32) / 32768)


@pytest.mark.parametrize(
    "configs", [TABLE_1, MIXED, tuple(reversed(TABLE_1)), (TABLE_1[5],)], ids=["table 1", "mixed", "reversed", "one"]
)
@pytest.mark.parametrize("threads", [1, 2])  # the bank cuts the batch in pieces of 4 clips a thread
def test_equals_each_front_end_by_itself(configs, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        natural, extreme = (
            waveforms("speech", "noise", "silence", "dither", "impulses"),
            waveforms("tone", "chirp", "clipping"),
        )
        assert len(natural) > 4, "more than a piece"
        for waveform, tolerance in ((natural, 2e-3), (extreme, 0.2)):  # as against torchaudio: test_mfcc.py
            for config, found in zip(configs, FeatureBank(configs)(waveform), strict=True):
                alone = config.module()(waveform)
                assert found.shape == alone.shape
                assert (found - alone).abs().max() < tolerance and (found - alone).abs().mean() < 1e-5
    finally:
        torch.set_num_threads(before)


def test_table_1_takes_two_stfts():
    groups = stft_groups(list(enumerate(TABLE_1)))
    assert [[TABLE_1[index].window for index, _ in group] for group in groups] == [[400] * 4, [640] * 4]
    assert [group[0][1].hop for group in groups] == [100, 160]
    assert len(stft_groups(list(enumerate(MIXED)))) == 4


def test_computes_only_what_is_asked_for(monkeypatch):
    bank, waveform = FeatureBank(TABLE_1), waveforms("speech")
    everything, frames = bank(waveform), []
    rfft = torch.fft.rfft
    monkeypatch.setattr(torch.fft, "rfft", lambda x, **options: frames.append(tuple(x.shape[1:])) or rfft(x, **options))
    few = bank(waveform, only=[7, 2])
    assert [index for index, found in enumerate(few) if found is not None] == [2, 7]
    for index in (2, 7):
        assert torch.allclose(few[index], everything[index], atol=1e-4)
    assert set(frames) == {(79, 400), (49, 640)}, "the frames of the kept hops, no more"
    assert bank(waveform, only=()) == [None] * 8


def test_refuses_what_is_no_waveform():
    with pytest.raises(TinyflowError, match="int16.*\n.*at least 640"):
        FeatureBank(TABLE_1)(torch.zeros(2, 16000, dtype=torch.int16))
    with pytest.raises(TinyflowError, match="639"):
        FeatureBank(TABLE_1)(torch.zeros(2, 639))
    assert FeatureBank(TABLE_1)(torch.zeros(2, 639), only=[0])[0].shape == (2, 3, 40)


def test_full_precision_under_autocast():
    waveform = waveforms("speech")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = FeatureBank(TABLE_1)(waveform)
    assert all(torch.equal(a, b) for a, b in zip(found, FeatureBank(TABLE_1)(waveform)))
