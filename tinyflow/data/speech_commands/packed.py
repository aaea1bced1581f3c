"""Recordings packed into streams: manifest.csv (name, word, speaker, split, stream, slot, samples),
audio/<stream>.flac or .opus with every clip in a one-second slot, background/.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tinyflow import recipe
from tinyflow.data.audio import BadRecording, fit
from tinyflow.data.background import SPLITS
from tinyflow.data.listing import read_background
from tinyflow.data.parallel import in_order
from tinyflow.data.speech_commands.official import OFFICIAL_CLIPS, describe, stacked
from tinyflow.data.store import SAMPLE_RATE, Clip, Corpus, Recording, check_listed, choose, clip_samples
from tinyflow.data.vocabulary import SILENCE, Vocabulary
from tinyflow.errors import TinyflowError

MANIFEST = "manifest.csv"
SLOT = 16000  # samples of a slot in a stream


def packed_corpus(root: Path, vocabulary: Vocabulary, data: recipe.Data) -> Corpus:
    with open(root / MANIFEST, newline="") as file:
        reader = csv.DictReader(file)
        missing = {"name", "word", "speaker", "split", "stream", "slot", "samples"} - set(reader.fieldnames or ())
        if missing:
            raise TinyflowError(
                f"{root / MANIFEST} lacks the columns {', '.join(sorted(missing))}",
                "take the recordings' own manifest.csv",
            )
        rows = list(reader)
    official = sum(row["word"] != SILENCE for row in rows)
    recordings, places = [], {}
    for number, row in enumerate(rows, start=2):
        if row["split"] not in SPLITS or not (row["slot"].isdecimal() and row["samples"].isdecimal()):
            raise TinyflowError(
                f"{root / MANIFEST} line {number}: split {row['split']!r}, slot {row['slot']!r}, samples"
                f" {row['samples']!r}",
                "take the recordings' own manifest.csv",
            )
        # The official 12-class test set is the clips of the test12 streams, and no other test clip.
        other_test = vocabulary.name == "gsc12" and row["split"] == "testing" and not row["stream"].endswith(".test12")
        if vocabulary.label(row["word"]) is None or other_test:
            continue
        recordings.append(Recording(row["word"], row["split"], row["speaker"], row["name"]))
        places[row["name"]] = (row["stream"], int(row["slot"]), int(row["samples"]))
    check_listed(recordings, vocabulary, describe(official))
    samples = clip_samples(data)
    silence = stacked(_packed_clips(root, [item for item in recordings if item.word == SILENCE], places, samples))
    noises, names, skipped = read_background(root / "background", SAMPLE_RATE, data.seed, silence)
    recordings = choose(recordings, data.max_clips_per_word, data.seed)
    facts = {
        "kind": "speech_commands",
        "layout": "packed",
        "clips": official,
        "official_clips": OFFICIAL_CLIPS,
        "split_by": MANIFEST,
        "background": names,
    }
    return Corpus(
        describe(official), _packed_clips(root, recordings, places, samples), len(recordings), noises, facts, skipped
    )


def _packed_clips(
    root: Path, recordings: list[Recording], places: dict[str, tuple[str, int, int]], samples: int
) -> Iterator[Clip]:
    streams: dict[str, list[Recording]] = defaultdict(list)
    for item in recordings:
        streams[places[item.source][0]].append(item)

    def read(stream: str) -> list[Clip]:
        try:
            audio = _read_stream(root, stream)
        except BadRecording as reason:
            return [Clip(item, None, reason=str(reason)) for item in streams[stream]]
        clips = []
        for item in streams[stream]:
            _, slot, length = places[item.source]
            piece = audio[slot * SLOT : slot * SLOT + length]
            if not length or len(piece) < length:
                clips.append(Clip(item, None, reason=f"truncated: stream {stream} ends before it"))
            else:
                clip, change = fit(piece, samples)
                clips.append(Clip(item, clip, (change,) if change else ()))
        return clips

    for clips in in_order(read, sorted(streams), ahead=4):  # a stream decodes to 75 MB at most
        yield from clips


def _read_stream(root: Path, stream: str) -> np.ndarray:
    """int16 samples of a stream; int16 by libsndfile's own conversion, so that they equal an unpacked folder's."""
    import soundfile

    path = next(
        (
            root / "audio" / f"{stream}{suffix}"
            for suffix in (".flac", ".opus")
            if (root / "audio" / f"{stream}{suffix}").is_file()
        ),
        None,
    )
    if path is None:
        raise BadRecording(f"no stream: audio/{stream}.flac or .opus")
    try:
        audio, rate = soundfile.read(path, dtype="int16")
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise BadRecording(f"unreadable stream {stream}: {error}") from None
    if rate != SAMPLE_RATE or audio.ndim != 1:
        raise BadRecording(f"stream {stream} is not {SAMPLE_RATE} Hz mono")
    return audio
