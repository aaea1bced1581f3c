"""Reading recordings: formats, rates, lengths, and every way a file can be broken."""

import sys

import numpy as np
import pytest
import soundfile

from tinyflow import extras
from tinyflow.data.audio import BadRecording, fit, load_clip, read_recording, read_wav, resample, to_int16
from tinyflow.errors import TinyflowError


def test_16_bit_file_comes_back_exactly(tmp_path):
    audio = np.random.default_rng(0).integers(-32768, 32768, 16000).astype(np.int16)
    for name in ("a.wav", "a.flac"):
        soundfile.write(tmp_path / name, audio, 16000, subtype="PCM_16")
        clip, changes = load_clip(tmp_path / name, 16000, 16000)
        np.testing.assert_array_equal(clip, audio)
        assert clip.dtype == np.int16 and changes == ()


@pytest.mark.parametrize("channels", [1, 2])
def test_without_soundfile_16_bit_wav_is_read_all_the_same(tmp_path, monkeypatch, channels):
    audio = np.random.default_rng(0).integers(-32768, 32768, (4000, channels)).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", audio, 22050, subtype="PCM_16")
    with_it = read_recording(tmp_path / "a.wav")
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    without = read_recording(tmp_path / "a.wav")
    assert np.array_equal(with_it[0], without[0]) and with_it[0].dtype == without[0].dtype and without[1] == 22050
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[:-1000])
    with pytest.raises(BadRecording, match="truncated"):
        read_recording(tmp_path / "a.wav")


@pytest.mark.parametrize("name, subtype", [("a.wav", "PCM_24"), ("a.wav", "FLOAT"), ("a.flac", "PCM_16")])
def test_without_soundfile_other_formats_name_its_extra(tmp_path, monkeypatch, name, subtype):
    soundfile.write(tmp_path / name, np.zeros(16000), 16000, subtype=subtype)
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(TinyflowError, match="soundfile.*16-bit PCM .wav") as error:
        read_wav(tmp_path / name, 16000, 16000)
    assert error.value.hint.endswith("'tinyflow-mcu[train]'")


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE", "PCM_24", "PCM_U8", "ULAW"])
def test_other_sample_types_keep_their_level(tmp_path, subtype):
    time = np.arange(16000) / 16000
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 440 * time), 16000, subtype=subtype)
    clip = read_wav(tmp_path / "a.wav", 16000, 16000)
    assert abs(int(clip.max()) - 16384) < 700


@pytest.mark.parametrize("suffix", [".ogg", ".mp3", ".opus", ".flac", ".wav"])
def test_formats(tmp_path, suffix, write):
    options = {"format": "OGG", "subtype": "OPUS"} if suffix == ".opus" else {}
    clip = read_wav(write(tmp_path / f"a{suffix}", **options), 16000, 16000)
    assert clip.shape == (16000,) and np.abs(clip).max() > 8000


@pytest.mark.parametrize(
    ("rate", "wanted"), [(44100, 16000), (48000, 16000), (22050, 16000), (8000, 16000), (11025, 16000), (96000, 16000)]
)
def test_resampling_against_torchaudio(rate, wanted):
    torch = pytest.importorskip("torch")
    from torchaudio.functional import resample as reference

    rng = np.random.default_rng(1)
    time = np.arange(rate) / rate
    # A chirp-like sum well below both Nyquist frequencies, faded at the ends.
    signal = sum(
        rng.uniform(0.05, 0.2) * np.sin(2 * np.pi * f * time + rng.uniform(0, 6)) for f in (120, 450, 900, 1800, 3100)
    )
    signal = (signal * np.hanning(rate)).astype(np.float32)
    ours = resample(signal, rate, wanted)
    theirs = reference(torch.from_numpy(signal), rate, wanted, lowpass_filter_width=64, rolloff=0.99).numpy()
    assert len(ours) == len(theirs) == wanted
    assert np.abs(ours - theirs).max() < 2e-3


def test_resampling_removes_what_would_alias():
    time = np.arange(48000) / 48000
    assert np.abs(resample(np.sin(2 * np.pi * 9000 * time).astype(np.float32), 48000, 16000)[200:-200]).max() < 1e-3


def test_notes_and_lengths(tmp_path, write):
    clip, changes = load_clip(write(tmp_path / "a.wav", samples=66150, rate=44100, channels=2), 16000, 16000)
    assert changes == ("mixed_down", "resampled", "cut") and clip.shape == (16000,)
    clip, changes = load_clip(write(tmp_path / "b.wav", samples=9000), 16000, 16000)
    assert changes == ("padded",) and not clip[9000:].any() and clip[:9000].any()


def test_cut_keeps_the_word_whole_and_central():
    for start in (0, 3000, 20000, 39000):
        audio = 0.001 * np.random.default_rng(0).standard_normal(48000)
        audio[start : start + 8000] += np.sin(np.arange(8000) * 0.3)
        clip, how = fit(audio.astype(np.float32), 16000)
        assert how == "cut"
        loud = np.flatnonzero(np.abs(clip) > 0.1)
        assert loud[-1] - loud[0] > 7900, start
        if 4000 < start < 36000:
            assert abs((loud[0] + loud[-1]) / 2 - 8000) < 800
    assert fit(np.zeros(20000, np.float32), 16000)[0].shape == (16000,)


def test_to_int16_saturates():
    np.testing.assert_array_equal(to_int16(np.array([-2.0, -1.0, 1.0, 0.5])), [-32768, -32768, 32767, 16384])


def broken(folder, write):
    good = write(folder / "good.wav").read_bytes()
    flac = write(folder / "good.flac").read_bytes()
    (folder / "empty.wav").write_bytes(b"")
    (folder / "header.wav").write_bytes(good[:44])
    (folder / "half.wav").write_bytes(good[: len(good) // 2])
    (folder / "text.wav").write_text("this is a shopping list, not a recording\n" * 20)
    (folder / "half.flac").write_bytes(flac[: len(flac) // 2])
    (folder / "riff.wav").write_bytes(good[:20])
    (folder / "nothing.flac").write_bytes(b"fLaC")
    soundfile.write(folder / "short.wav", np.zeros(0, np.int16), 16000)
    soundfile.write(folder / "nan.wav", np.full(16000, np.nan, np.float32), 16000, subtype="FLOAT")
    return [
        "empty.wav",
        "header.wav",
        "half.wav",
        "text.wav",
        "half.flac",
        "riff.wav",
        "nothing.flac",
        "short.wav",
        "nan.wav",
    ]


def test_every_broken_file_has_a_reason(tmp_path, write):
    for name in broken(tmp_path, write):
        with pytest.raises(BadRecording) as caught:
            read_recording(tmp_path / name)
        assert 5 < len(str(caught.value)) < 120, name
        with pytest.raises(TinyflowError, match=name):
            read_wav(tmp_path / name, 16000, 16000)
    with pytest.raises(BadRecording, match="truncated: .* of 32000 bytes"):
        read_recording(tmp_path / "half.wav")
    with pytest.raises(BadRecording, match="empty"):
        read_recording(tmp_path / "empty.wav")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(TinyflowError, match="no recording at .*gone.wav"):
        read_wav(tmp_path / "gone.wav", 16000, 16000)


def test_stream_of_unknown_length_is_read(tmp_path, write):
    """What a pipe writes: a data chunk that announces 2 GiB."""
    wav = bytearray(write(tmp_path / "a.wav").read_bytes())
    wav[4:8] = (0x7FFFFFFF).to_bytes(4, "little")
    wav[40:44] = (0x7FFFF000).to_bytes(4, "little")
    (tmp_path / "pipe.wav").write_bytes(wav)
    np.testing.assert_array_equal(
        read_wav(tmp_path / "pipe.wav", 16000, 16000), read_wav(tmp_path / "a.wav", 16000, 16000)
    )
