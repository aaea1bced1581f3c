"""Background noise: made, split between training, validation and testing, and cut into silence.

A piece of noise that training may hear never reaches validation or testing.
"""

import numpy as np

from tinyflow.data.held_out import unused_pieces, used_in

SPLITS = ("training", "validation", "testing")
SHARES = (0.70, 0.85)  # in time: up to here training, up to there validation, the rest testing
SILENCE_DB = (-75.0, -10.0)  # RMS of a silence clip, of full scale: a quiet room to a tap running beside the microphone
TRUE_ZERO = 0.1  # share of silence clips that are digital silence: a muted microphone

Noises = dict[str, list[np.ndarray]]  # split -> int16 recordings


def split_in_time(
    recordings: list[np.ndarray], test_clips: np.ndarray | None = None, sample_rate: int = 16000
) -> Noises:
    """The first 70 % of every recording for training, the next 15 % for validation, the last for testing.

    ``test_clips`` (N, samples) int16: test clips of silence. Where they were cut from these recordings, training and
    validation get only the pieces between.
    """
    parts: Noises = {split: [] for split in SPLITS}
    for audio in recordings:
        used = np.zeros(len(audio), bool) if test_clips is None else used_in(audio, test_clips, sample_rate)
        shortest = 1 if test_clips is None else test_clips.shape[1]
        first, second = (int(share * len(audio)) for share in SHARES)
        for split, start, end in (("training", 0, first), ("validation", first, second)):
            parts[split] += unused_pieces(audio[start:end], used[start:end], shortest)
        parts["testing"] += [audio[second:]] if second < len(audio) else []
    return parts


def cut(audio: np.ndarray, start: int, samples: int) -> np.ndarray:
    """``samples`` of ``audio`` from ``start``, from its beginning again where it ends."""
    if start + samples <= len(audio):
        return audio[start : start + samples]
    return audio[np.arange(start, start + samples) % len(audio)]


def cut_silence(noises: list[np.ndarray], samples: int, rng: np.random.Generator) -> np.ndarray:
    """One clip of silence, int16 (samples,): noise from a random place at a random level, sometimes true zero.

    The level is drawn in decibels of full scale, whatever the recording's own: nobody knows how loud the rooms and
    microphones of a user will be, and data sets store their noises at levels of their own.
    """
    if not noises or rng.random() < TRUE_ZERO:
        return np.zeros(samples, np.int16)
    audio = noises[rng.integers(len(noises))]
    start = int(rng.integers(max(1, len(audio) - samples + 1)))
    return level(cut(audio, start, samples), 10 ** (rng.uniform(*SILENCE_DB) / 20))


def white(samples: int, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(samples)


def coloured(samples: int, rng: np.random.Generator, slope: float) -> np.ndarray:
    """Noise with power falling as 1/f**slope above 20 Hz at 16 kHz: 1 is pink, 2 is brown."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    bins = np.arange(len(spectrum))
    return np.fft.irfft(spectrum * np.maximum(bins, samples / 800) ** (-slope / 2), samples)


def pink(samples: int, rng: np.random.Generator) -> np.ndarray:
    return coloured(samples, rng, 1.0)


def brown(samples: int, rng: np.random.Generator) -> np.ndarray:
    return coloured(samples, rng, 2.0)


def blue(samples: int, rng: np.random.Generator) -> np.ndarray:
    return coloured(samples, rng, -1.0)


def hum(samples: int, rng: np.random.Generator, sample_rate: int = 16000) -> np.ndarray:
    """Mains hum: 50 Hz and 19 harmonics of random strength and phase, swelling slowly."""
    time = np.arange(samples) / sample_rate
    harmonics = np.arange(1, 21)[:, None]
    strength = rng.random((20, 1)) / harmonics**0.7
    swell = 1 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.1, 0.4) * time)
    return swell * (strength * np.sin(2 * np.pi * (50 * harmonics * time + rng.random((20, 1))))).sum(axis=0)


def babble(voices: list[np.ndarray], samples: int, rng: np.random.Generator) -> np.ndarray:
    """Many voices at once. Every word is played backwards, so that no keyword can be heard in the noise."""
    mixed = np.zeros(samples)
    for voice in voices:
        start = int(rng.integers(samples))
        np.add.at(mixed, np.arange(start, start + len(voice)) % samples, voice[::-1].astype(np.float64))
    return mixed


def level(noise: np.ndarray, rms: float = 0.1) -> np.ndarray:
    """``noise`` as int16 at ``rms`` of full scale."""
    scaled = noise * (rms * 32768 / max(float(np.sqrt(np.mean(np.square(noise, dtype=np.float64)))), 1e-12))
    return np.clip(np.rint(scaled), -32768, 32767).astype(np.int16)


def made(sample_rate: int, seed: int, seconds: float = 20.0) -> Noises:
    """Stand-in background for own recordings that bring none: white, pink and brown noise, anew for every split."""
    length = int(seconds * sample_rate)
    rngs = {split: np.random.default_rng([seed, index]) for index, split in enumerate(SPLITS)}
    return {split: [level(kind(length, rng), 0.03) for kind in (white, pink, brown)] for split, rng in rngs.items()}
