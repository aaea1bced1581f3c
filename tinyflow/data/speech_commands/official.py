"""The official layout: <word>/<speaker>_nohash_<n>.wav (or .flac), _background_noise_/, testing_list.txt and
validation_list.txt; without the lists the hash rule of the data set's README decides.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tinyflow import recipe
from tinyflow.data.audio import BadRecording, load_clip
from tinyflow.data.listing import BACKGROUND_FOLDER, audio_files, read_background
from tinyflow.data.parallel import in_order
from tinyflow.data.store import SAMPLE_RATE, Clip, Corpus, Recording, check_listed, choose, clip_samples
from tinyflow.data.vocabulary import SILENCE, Vocabulary

OFFICIAL_CLIPS = 105_829  # words in version 0.02
MAX_NUM_WAVS_PER_CLASS = 2**27 - 1  # the hash rule's modulus, from the data set's README
VALIDATION_PERCENTAGE = TESTING_PERCENTAGE = 10.0
NO_HASH = "_nohash_"
LISTS = {"validation": "validation_list.txt", "testing": "testing_list.txt"}


def is_word_folder(path: Path) -> bool:
    return path.is_dir() and any(NO_HASH in item.name for item in path.iterdir())


def which_split(name: str) -> str:
    """The official split of a file name: by SHA-1 of what stands before `_nohash_`, so that a speaker is in one split
    only.

    The rule of the data set's README (10 % validation, 10 % testing).
    """
    speaker = speaker_of(name)
    number = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % (MAX_NUM_WAVS_PER_CLASS + 1)
    percentage = number * (100.0 / MAX_NUM_WAVS_PER_CLASS)
    if percentage < VALIDATION_PERCENTAGE:
        return "validation"
    return "testing" if percentage < VALIDATION_PERCENTAGE + TESTING_PERCENTAGE else "training"


def speaker_of(name: str) -> str:
    return re.sub(r"_nohash_.*$", "", Path(name).name)


def describe(clips: int) -> str:
    """How accuracy names ``clips`` recordings: the share of version 0.02, to the nearest 5 % from 10 % up."""
    if clips >= OFFICIAL_CLIPS:
        return "Speech Commands v0.02"
    share = 100 * clips / OFFICIAL_CLIPS
    rounded = f"{min(5 * round(share / 5), 95)}" if share >= 10 else f"{share:.2g}"
    return f"Speech Commands, {rounded} % subset"


def official_corpus(root: Path, vocabulary: Vocabulary, data: recipe.Data) -> Corpus:
    listed: dict[str, str] = {}  # recording -> its split
    lists = False
    for split, name in LISTS.items():
        if (root / name).is_file():
            lists = True
            # Without suffix: recordings converted to FLAC keep the lists of the WAV archive.
            listed.update(
                (line.strip().rsplit(".", 1)[0], split)
                for line in (root / name).read_text().splitlines()
                if line.strip()
            )
    recordings, files, official = [], {}, 0
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        word = folder.name
        if word != SILENCE and not (word[0].isalnum() and is_word_folder(folder)):
            continue
        for path in audio_files(folder):
            source = f"{word}/{path.name}"
            if word == SILENCE:  # clips of the official 12-class test; training makes its own silence
                split, speaker = "testing", ""
            elif NO_HASH in path.name:
                official += 1
                speaker = speaker_of(path.name)
                split = listed.get(f"{word}/{path.stem}", "training") if lists else which_split(path.name)
            else:
                continue
            if vocabulary.label(word) is not None:
                recordings.append(Recording(word, split, speaker, source))
                files[source] = path
    check_listed(recordings, vocabulary, describe(official))
    samples = clip_samples(data)

    def read(item: Recording) -> Clip:
        try:
            return Clip(item, *load_clip(files[item.source], SAMPLE_RATE, samples))
        except BadRecording as reason:
            return Clip(item, None, reason=str(reason))

    silence = stacked(map(read, [item for item in recordings if item.word == SILENCE]))
    noises, names, skipped = read_background(root / BACKGROUND_FOLDER, SAMPLE_RATE, data.seed, silence)
    recordings = choose(recordings, data.max_clips_per_word, data.seed)
    facts = {
        "kind": "speech_commands",
        "layout": "official",
        "clips": official,
        "official_clips": OFFICIAL_CLIPS,
        "split_by": "lists" if lists else "hash rule",
        "background": names,
    }
    return Corpus(describe(official), in_order(read, recordings), len(recordings), noises, facts, skipped)


def stacked(clips: Iterable[Clip]) -> np.ndarray | None:
    """The samples of those that could be read, int16 (N, samples)."""
    audio = [clip.audio for clip in clips if clip.audio is not None]
    return np.stack(audio) if audio else None
