"""Reading recordings: any format soundfile knows, to int16 clips of one rate and one length.

Without soundfile, which comes with [train]: 16-bit PCM .wav, by the standard library.
"""

import os
import wave
from pathlib import Path

import numpy as np

from tinyflow.errors import TinyflowError
from tinyflow.extras import installed, missing

EXTENSIONS = (".wav", ".flac", ".ogg", ".opus", ".mp3")
ROLL_OFF = 0.95  # share of the lower Nyquist frequency the resampler passes untouched


class BadRecording(Exception):
    """A file that cannot be used; the text is the reason, short enough for a table."""


def read_recording(path: Path) -> tuple[np.ndarray, int]:
    """All samples of a file as float32 (frames, channels) in [-1, 1], and its rate in Hz.

    Raises BadRecording when the file is empty, truncated, not audio or without samples; TinyflowError when it takes
    soundfile to read it, and that is not installed.
    """
    try:
        if path.stat().st_size == 0:
            raise BadRecording("empty file")
        _check_wav_length(path)
    except OSError as error:
        raise BadRecording(f"unreadable: {error.strerror}") from None
    audio, rate = _decoded(path) if installed("soundfile") else _pcm(path)
    if len(audio) == 0:
        raise BadRecording("no samples")
    if not np.isfinite(audio).all():
        raise BadRecording("has samples that are not finite")
    return audio, rate


def _decoded(path: Path) -> tuple[np.ndarray, int]:
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            announced, rate = file.frames, file.samplerate
            audio = file.read(dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        reason = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
        raise BadRecording(f"unreadable: {reason}") from None
    if path.suffix.lower() == ".flac" and 0 < len(audio) < announced:
        raise BadRecording(f"truncated: {len(audio)} of {announced} samples")
    return audio, rate


def _pcm(path: Path) -> tuple[np.ndarray, int]:
    """Of a 16-bit PCM .wav; the same floats as soundfile's."""
    try:
        with wave.open(str(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            data = file.readframes(file.getnframes()) if width == 2 else b""
    except OSError as error:
        raise BadRecording(f"unreadable: {error.strerror}") from None
    except (wave.Error, EOFError):
        width = 0
    if width != 2:
        raise missing("soundfile", f"of recordings only 16-bit PCM .wav is read without it: {path} is another")
    samples = np.frombuffer(data[: len(data) // (2 * channels) * 2 * channels], "<i2")
    return samples.reshape(-1, channels).astype(np.float32) / 32768, rate


def _check_wav_length(path: Path) -> None:
    """libsndfile reads a truncated WAV file as a shorter one, in silence; its chunk sizes tell."""
    with open(path, "rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return
        size = os.fstat(file.fileno()).st_size
        while len(chunk := file.read(8)) == 8:
            length = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"data":
                here = size - file.tell()
                if here < length < 0x7F000000:  # streams announce a length they do not know
                    raise BadRecording(f"truncated: {here} of {length} bytes of samples")
                return
            file.seek(length + length % 2, os.SEEK_CUR)
    raise BadRecording("a WAV file without samples")


def to_int16(audio: np.ndarray) -> np.ndarray:
    """Float samples in [-1, 1] to int16; the inverse of int16/32768, so 16-bit files come back exactly."""
    return np.clip(np.rint(audio * 32768.0), -32768, 32767).astype(np.int16)


def mix_down(audio: np.ndarray) -> np.ndarray:
    """Mean of the channels: (frames, channels) to (frames,)."""
    return audio[:, 0] if audio.shape[1] == 1 else audio.mean(axis=1)


def resample(audio: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """``audio`` (frames,) from ``rate`` to ``wanted`` Hz, ceil(frames * wanted / rate) samples, float32.

    Band-limited in the frequency domain: the spectrum is cut (or zero-filled) with a raised-cosine edge over
    the last 5 % below the lower Nyquist frequency. The signal is zero-padded, so nothing wraps around.
    """
    if rate == wanted or len(audio) == 0:
        return audio.astype(np.float32, copy=False)
    divisor = np.gcd(rate, wanted)
    up, down = wanted // divisor, rate // divisor
    blocks = -(-(len(audio) + rate // 50) // down)  # 20 ms of zeros take what rings over the end
    spectrum = np.fft.rfft(audio, blocks * down)
    length = blocks * up
    kept = np.zeros(length // 2 + 1, complex)
    count = min(len(kept), len(spectrum))
    nyquist = min(rate, wanted) / 2
    frequency = np.arange(count) * (wanted / length)
    edge = np.clip((frequency / nyquist - ROLL_OFF) / (1 - ROLL_OFF), 0, 1)
    kept[:count] = spectrum[:count] * (0.5 + 0.5 * np.cos(np.pi * edge))
    answer = np.fft.irfft(kept, length) * (up / down)
    return answer[: -(-len(audio) * wanted // rate)].astype(np.float32)


def fit(audio: np.ndarray, samples: int) -> tuple[np.ndarray, str]:
    """``audio`` (frames,) made exactly ``samples`` long, and how: "", "cut" or "padded".

    A longer recording is cut to its loudest window, a shorter one padded with zeros at the end (as the
    paper does, section 4).
    """
    if len(audio) == samples:
        return audio, ""
    if len(audio) < samples:
        return np.pad(audio, (0, samples - len(audio))), "padded"
    start = loudest(audio, samples)
    return audio[start : start + samples], "cut"


def loudest(audio: np.ndarray, samples: int) -> int:
    """Start of the window of ``samples`` with the most energy; the word is centred where windows tie."""
    energy = np.concatenate([[0.0], np.cumsum(np.square(audio, dtype=np.float64))])
    window = energy[samples:] - energy[:-samples]
    # Every window that holds the whole word has nearly the same energy: take the middle one of those.
    best = np.flatnonzero(window >= 0.995 * window.max())
    first = int(np.argmax(window))
    run = best[np.abs(best - first) <= samples]
    return int(run[len(run) // 2])


def load_clip(path: Path, sample_rate: int, samples: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """One clip, int16 (samples,), and what had to be done: "mixed_down", "resampled", "cut", "padded"."""
    audio, rate = read_recording(path)
    notes = []
    if audio.shape[1] > 1:
        notes.append("mixed_down")
    mono = mix_down(audio)
    if rate != sample_rate:
        notes.append("resampled")
        mono = resample(mono, rate, sample_rate)
    clip, fitted = fit(mono, samples)
    return to_int16(clip), tuple(notes + [fitted] if fitted else notes)


def load_background(path: Path, sample_rate: int) -> np.ndarray:
    """A whole background recording, int16 mono at ``sample_rate``."""
    audio, rate = read_recording(path)
    return to_int16(resample(mix_down(audio), rate, sample_rate))


def read_wav(path: Path | str, sample_rate: int, samples: int) -> np.ndarray:
    """A recording as the network hears it: int16 (samples,) at ``sample_rate``.

    Any format soundfile reads, any rate, any number of channels. Shorter recordings are padded with zeros,
    longer ones cut to their loudest window. TinyflowError names the file and what is wrong with it.
    """
    path = Path(path)
    if not path.is_file():
        raise TinyflowError(f"no recording at {path}", "name a WAV, FLAC, OGG or MP3 file")
    try:
        return load_clip(path, sample_rate, samples)[0]
    except BadRecording as reason:
        raise TinyflowError(
            f"{path} cannot be heard: {reason}", "record it again, or convert it to 16-bit WAV"
        ) from None
