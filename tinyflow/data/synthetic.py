"""Synthetic speech: words spoken by espeak-ng in many voices, with noise. A fresh machine needs no recordings.

Deterministic: the same recipe, seed and espeak-ng version give the same bytes. Testing is spoken by voices, at rates
and over kinds of noise that training never hears; validation has voices and rates of its own.
"""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyflow import recipe
from tinyflow.data import background
from tinyflow.data.audio import resample, to_int16
from tinyflow.data.background import SPLITS, Noises
from tinyflow.data.parallel import in_order
from tinyflow.data.store import SAMPLE_RATE, Clip, Corpus, Recording, choose, clip_samples
from tinyflow.data.vocabulary import Vocabulary, vocabulary_of
from tinyflow.errors import TinyflowError
from tinyflow.progress import Progress

SYNTHESIS = 1  # raised when the same recipe would give other clips
ACCENTS = ("en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc")
# espeak-ng's voice variants: other formants, pitch and voicing. A variant speaks in one split only.
VARIANTS = {
    "training": (
        "m1",
        "m2",
        "m3",
        "m4",
        "m7",
        "f1",
        "f2",
        "f4",
        "adam",
        "Alicia",
        "Andy",
        "belinda",
        "ed",
        "Gene",
        "linda",
        "max",
        "michael",
        "paul",
    ),
    "validation": ("m5", "f3", "david", "Annie", "pablo"),
    "testing": ("m6", "m8", "f5", "benjamin", "steph", "Andrea", "robert"),
}
# Words per minute. Each list goes on in steps of 30 for words that are too long: no two splits share a rate.
RATES = {"training": (130, 160, 190, 220), "validation": (140, 170, 200), "testing": (150, 180, 210)}
RATE_STEP, FASTEST = 30, 420
PITCHES = (25, 75)  # of espeak-ng's 0 to 99
NOISES = {
    "training": ("white", "pink", "babble"),
    "validation": ("white", "pink", "babble"),
    "testing": ("brown", "blue", "hum"),
}
NOISE_SECONDS = 20
BABBLE_VOICES = 24
SNR_DB = (5.0, 30.0)  # of the word against the noise
CLEAN = 0.15  # share of clips without noise
PEAK_DB = (-18.0, -1.0)  # of full scale
AUDIBLE = 0.01  # of the peak: what is softer at either end is cut off


@dataclass(frozen=True)
class Utterance:
    """One call of espeak-ng."""

    word: str
    voice: str  # accent+variant
    rate: int  # words per minute
    pitch: int


def corpus(data: recipe.Data, base: Path, progress: Progress) -> tuple[Corpus, Vocabulary]:
    """`data.synthetic.clips_per_word` clips of every word of the task, over all splits."""
    vocabulary = vocabulary_of(data)
    words = vocabulary.keywords + (
        tuple(word for word in data.synthetic.unknown_words if word not in vocabulary.keywords)
        if vocabulary.unknown
        else ()
    )
    if vocabulary.unknown and len(words) == len(vocabulary.keywords):
        raise TinyflowError(
            "data.synthetic.unknown_words has no word besides the keywords",
            "list words that are not keywords, or set data.unknown=false",
        )
    version = espeak_version()
    voices = available_voices()
    samples = clip_samples(data)
    noises = make_noises(data.seed, words, voices, samples)

    recordings, numbers = [], {}
    for word in words:
        for split, count in split_counts(data.synthetic).items():
            for number in range(count):
                spoken = utterance(word, split, number, data.seed, voices)
                item = Recording(
                    word,
                    split,
                    spoken.voice,
                    f"{word}/{spoken.voice}_rate{spoken.rate}_pitch{spoken.pitch}_{split}{number}",
                )
                recordings.append(item)
                numbers[item.source] = (spoken, number)
    recordings = choose(recordings, data.max_clips_per_word, data.seed)

    def render(item: Recording) -> Clip:
        spoken, number = numbers[item.source]
        rng = clip_rng(data.seed, "clip", item.word, item.split, number)
        return Clip(item, mix(speak(spoken, samples), noises[item.split], samples, rng))

    facts = {
        "kind": "synthetic",
        "espeak-ng": version,
        "voices": {split: len(names) for split, names in voices.items()},
        "rates": {split: list(rates) for split, rates in RATES.items()},
        "noises": {split: list(kinds) for split, kinds in NOISES.items()},
        "unknown_words": [word for word in words if word not in vocabulary.keywords],
    }
    return Corpus("synthetic", in_order(render, recordings), len(recordings), noises, facts), vocabulary


def source_fingerprint(data: recipe.Data, base: Path) -> dict[str, Any]:
    return {"espeak-ng": espeak_version(), "synthesis": SYNTHESIS}


def split_counts(config: recipe.Synthetic) -> dict[str, int]:
    """Clips of a word in each split, at least one."""
    validation = max(1, round(config.clips_per_word * config.validation_fraction))
    testing = max(1, round(config.clips_per_word * config.test_fraction))
    return {
        "training": max(1, config.clips_per_word - validation - testing),
        "validation": validation,
        "testing": testing,
    }


def clip_rng(seed: int, *what: object) -> np.random.Generator:
    """A stream of random numbers for one thing alone, so that adding words or clips changes no other clip."""
    digest = hashlib.sha256("/".join(map(str, what)).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest[:16], "<u4").tolist()])


def utterance(word: str, split: str, number: int, seed: int, voices: dict[str, tuple[str, ...]]) -> Utterance:
    rng = clip_rng(seed, "utterance", word, split, number)
    voice = voices[split][rng.integers(len(voices[split]))]
    return Utterance(word, voice, int(rng.choice(RATES[split])), int(rng.integers(PITCHES[0], PITCHES[1] + 1)))


def speak(spoken: Utterance, samples: int) -> np.ndarray:
    """The word at 16 kHz, float32, at most ``samples`` long, without the silence around it; faster where it would not
    fit.
    """
    rate = spoken.rate
    while rate <= FASTEST:
        audio = trim(_espeak(spoken, rate))
        if len(audio) <= samples:
            return audio
        rate += RATE_STEP
    raise TinyflowError(
        f"espeak-ng needs more than {samples / SAMPLE_RATE:g} s for {spoken.word!r} at {FASTEST} words per minute",
        "choose a shorter keyword",
    )


def _espeak(spoken: Utterance, rate: int) -> np.ndarray:
    command = [_program(), "-v", spoken.voice, "-s", str(rate), "-p", str(spoken.pitch), "--stdin", "--stdout"]
    done = subprocess.run(command, input=spoken.word.encode(), capture_output=True, timeout=60)
    wav = done.stdout
    # A WAV stream: 44 bytes of header (its lengths unknown to espeak-ng), then 16-bit mono samples.
    if done.returncode or wav[:4] != b"RIFF" or wav[36:40] != b"data":
        message = done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}"
        raise TinyflowError(
            f"espeak-ng cannot say {spoken.word!r} with the voice {spoken.voice}: {message}",
            "`tinyflow doctor` checks espeak-ng",
        )
    audio = np.frombuffer(wav[44 : 44 + (len(wav) - 44) // 2 * 2], "<i2")
    if not audio.any():
        raise TinyflowError(
            f"espeak-ng says nothing for {spoken.word!r}", "keywords are written words, letters and spaces"
        )
    return resample(audio / np.float32(32768), int.from_bytes(wav[24:28], "little"), SAMPLE_RATE)


def trim(audio: np.ndarray) -> np.ndarray:
    """``audio`` without its near-silent ends (below 1 % of the peak), 5 ms of margin kept."""
    loud = np.flatnonzero(np.abs(audio) >= AUDIBLE * np.abs(audio).max())
    margin = SAMPLE_RATE // 200
    return audio[max(0, loud[0] - margin) : loud[-1] + 1 + margin]


def mix(word: np.ndarray, noises: list[np.ndarray], samples: int, rng: np.random.Generator) -> np.ndarray:
    """The word at a random place in a clip, over noise at a random signal-to-noise ratio, at a random level; int16
    (samples,).
    """
    start = int(rng.integers(samples - len(word) + 1))
    clip = np.zeros(samples)
    clip[start : start + len(word)] = word
    if rng.random() >= CLEAN:
        noise = noises[rng.integers(len(noises))]
        noise = background.cut(noise, int(rng.integers(len(noise))), samples).astype(np.float64)
        ratio = 10 ** (-rng.uniform(*SNR_DB) / 20)
        clip += noise * (
            ratio * np.sqrt(np.mean(np.square(word, dtype=np.float64))) / max(np.sqrt(np.mean(noise**2)), 1e-12)
        )
    return to_int16(clip * (10 ** (rng.uniform(*PEAK_DB) / 20) / np.abs(clip).max()))


def make_noises(seed: int, words: tuple[str, ...], voices: dict[str, tuple[str, ...]], samples: int) -> Noises:
    """Recordings of the noises of every split, made of that split's own random numbers and voices."""
    length = NOISE_SECONDS * SAMPLE_RATE

    def recording(split: str, kind: str) -> np.ndarray:
        rng = clip_rng(seed, "noise", split, kind)
        if kind == "babble":
            crowd: Iterator[Utterance] = (
                utterance(words[index % len(words)], split, index, seed + 1, voices)
                for index in range(4 * BABBLE_VOICES)
            )
            spoken = list(in_order(lambda item: speak(item, samples), crowd))
            return background.babble(spoken * (NOISE_SECONDS // 5), length, rng)
        return getattr(background, kind)(length, rng)

    return {split: [background.level(recording(split, kind)) for kind in NOISES[split]] for split in SPLITS}


def available_voices() -> dict[str, tuple[str, ...]]:
    """accent+variant by split, of those this espeak-ng has (it would speak a missing one with its
    default, in silence).
    """
    accents = {line.split()[1] for line in _ask("--voices=en").splitlines()[1:] if len(line.split()) > 1}
    variants = set(re.findall(r"!v/(\S+)", _ask("--voices=variant")))
    found = {
        split: tuple(
            f"{accent}+{name}" for name in names if name in variants for accent in ACCENTS if accent in accents
        )
        for split, names in VARIANTS.items()
    }
    for split, names in found.items():
        if len(names) < 2:
            raise TinyflowError(
                f"espeak-ng has {len(names)} of the English voices for {split}",
                "install its voices: apt-get install espeak-ng espeak-ng-data",
            )
    return found


def espeak_version() -> str:
    found = re.search(r"\d+(\.\d+)+\S*", _ask("--version"))
    if not found:
        raise TinyflowError("espeak-ng does not tell its version", "install it anew: apt-get install espeak-ng")
    return found.group()


def _ask(option: str) -> str:
    return subprocess.run(
        [_program(), option], capture_output=True, text=True, timeout=60, env={**os.environ, "LC_ALL": "C"}
    ).stdout


def _program() -> str:
    path = shutil.which("espeak-ng")
    if not path:
        raise TinyflowError(
            "espeak-ng is not installed, and data.source is synthetic",
            "run `make setup`, or `apt-get install espeak-ng`; or use recordings: --data FOLDER",
        )
    return path
