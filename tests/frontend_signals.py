"""Clips for the front end's tests: one second at 16 kHz, int16, by kind; deterministic, nothing read from outside but
espeak-ng.
"""

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np

RATE = 16000
TIME = np.arange(RATE) / RATE


def pcm(signal: np.ndarray) -> np.ndarray:
    """float in units of int16, rounded and clipped."""
    return np.clip(np.rint(signal), -32768, 32767).astype(np.int16)


def spoken_like(rng: np.random.Generator, loudness: float) -> np.ndarray:
    """A pulse train through three moving resonances, in syllables, over a little noise."""
    pitch = rng.uniform(80, 250) * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(2, 5) * TIME))
    phase = np.cumsum(pitch) / RATE
    voice = np.zeros(RATE)
    for harmonic in range(1, 40):
        frequency = harmonic * pitch
        formants = (rng.uniform(300, 800), rng.uniform(900, 2200), rng.uniform(2300, 3500))
        gain = sum(1 / (1 + ((frequency - formant) / 120) ** 2) for formant in formants)
        voice += np.where(frequency < 7500, gain, 0) * np.sin(2 * np.pi * harmonic * phase)
    syllables = np.clip(np.sin(2 * np.pi * rng.uniform(2, 4) * TIME + rng.uniform(0, 6)), 0, 1) ** 2
    return pcm(loudness * (voice / np.abs(voice).max() * syllables + 0.002 * rng.normal(size=RATE)))


def espeak(words: tuple[str, ...] = ("yes", "no", "marvin", "sheila", "stop", "seven")) -> np.ndarray | None:
    """int16 (N, RATE): words by espeak-ng in two voices, or None without it. Read at 22,050 Hz, interpolated."""
    if not shutil.which("espeak-ng"):
        return None
    import soundfile

    clips = []
    for index, word in enumerate(words):
        voice = ("en-us", "en-gb")[index % 2]
        wav = subprocess.run(["espeak-ng", "-v", voice, "--stdout", word], capture_output=True, check=True).stdout
        audio, rate = soundfile.read(io.BytesIO(wav[:4] + b"\xff\xff\xff\x7f" + wav[8:]), dtype="float64")
        audio = np.interp(np.arange(int(len(audio) * RATE / rate)) * rate / RATE, np.arange(len(audio)), audio)[:RATE]
        clips.append(pcm(32768 * np.pad(audio, (0, RATE - len(audio)))))
    return np.stack(clips)


def signals(seed: int = 0) -> dict[str, np.ndarray]:
    """Kind -> int16 (N, RATE)."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(6, RATE))
    sweep = 2 * np.pi * (20 * TIME + (7980 / 2) * TIME**2)
    onset = np.where(TIME < 0.5, 0, 20000 * np.sin(2 * np.pi * 440 * TIME))
    kinds = {
        "speech": np.stack([spoken_like(rng, loudness) for loudness in (100, 1000, 3000, 8000, 16000, 32000)]),
        "noise": pcm(noise * np.array([[1], [10], [100], [1000], [5000], [10000]])),
        "chirp": pcm(np.stack([a * np.sin(sweep[::step]) for a in (30, 3000, 32767) for step in (1, -1)])),
        "silence": np.zeros((2, RATE), np.int16),
        "dither": rng.integers(-1, 2, size=(3, RATE)).astype(np.int16),
        "clipping": pcm(
            np.stack([200000 * np.sin(2 * np.pi * f * TIME) for f in (50, 437, 3000)] + [noise[0] * 60000])
        ),
        "dc": pcm(np.stack([np.full(RATE, level) for level in (1, 1000, 32767, -32768)])),
        "tone": pcm(np.stack([32767 * np.sin(2 * np.pi * f * TIME) for f in (20, 100, 1000, 4000, 7999)])),
        "nyquist": pcm(np.stack([32767.0 * (1 - 2 * (np.arange(RATE) % 2)), 3.0 * (1 - 2 * (np.arange(RATE) % 2))])),
        "impulses": pcm(np.where(np.arange(RATE) % 1000 == 7, 32767, 0)[None]),
        "onset": pcm(np.stack([onset, onset[::-1]])),
    }
    spoken = espeak()
    return kinds if spoken is None else {"espeak": spoken, **kinds}


def recorded(folder: Path, streams: int = 10, clips: int = 30) -> np.ndarray:
    """int16 (N, RATE) of real speech from ``folder``: one-second slots of joined streams, or the official layout's
    WAVs.
    """
    import soundfile

    paths = sorted((folder / "audio").glob("*.training.opus"))[
        :: max(1, len(list((folder / "audio").glob("*.training.opus"))) // streams)
    ]
    if paths:
        found = [soundfile.read(path, frames=clips * RATE, dtype="int16")[0] for path in paths[:streams]]
        return np.concatenate([audio[: len(audio) // RATE * RATE].reshape(-1, RATE) for audio in found])
    found = []
    for path in sorted(folder.glob("[a-z]*/*.wav"))[::97][: streams * clips]:
        audio = soundfile.read(path, dtype="int16")[0]
        found.append(np.pad(audio[:RATE], (0, max(0, RATE - len(audio)))))
    return np.stack(found)
