"""Own words: a folder per label with recordings in any format, split by speaker."""

import csv
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinyflow import recipe
from tinyflow.artefacts import sha256
from tinyflow.data.audio import BadRecording, load_clip
from tinyflow.data.listing import BACKGROUND_FOLDER, audio_files, listing_fingerprint, read_background
from tinyflow.data.parallel import in_order
from tinyflow.data.store import SAMPLE_RATE, Clip, Corpus, Recording, check_listed, choose, clip_samples
from tinyflow.data.vocabulary import UNKNOWN, WORD_LISTS, Vocabulary, vocabulary_of
from tinyflow.errors import TinyflowError
from tinyflow.progress import Progress

VALIDATION, TESTING = 0.1, 0.1  # shares of the hash range


def corpus(data: recipe.Data, base: Path, progress: Progress) -> tuple[Corpus, Vocabulary]:
    """Every recording below `data.path`, its folder being its word."""
    root = _root(data, base)
    tree, skipped = _tree(root)
    warnings: list[str] = []
    vocabulary = _vocabulary(data, root, sorted(tree), warnings)

    speaker = _speaker_rule(data, base)
    files = {
        f"{word}/{path.name}": path
        for word, paths in tree.items()
        if vocabulary.label(word) is not None
        for path in paths
    }
    speakers = {source: speaker(source) for source in files}
    nameless = [source for source, name in speakers.items() if not name]
    if not data.speaker_pattern and not data.speaker_csv:
        warnings.append(
            "split by file: the same speaker may be in training and testing, and accuracy look better than it is; name"
            " speakers with data.speaker_pattern or data.speaker_csv"
        )
    elif nameless:
        warnings.append(
            f"{len(nameless)} files have no speaker (for example {nameless[0]}): each counts as a speaker of its own"
        )
    split = split_groups(
        {source: speakers[source] or source for source in files},
        {source: label for source in files if (label := vocabulary.label(source.partition("/")[0]))},
    )
    recordings = [Recording(source.partition("/")[0], split[source], speakers[source], source) for source in files]
    check_listed(recordings, vocabulary, f"own words ({root.name})")
    recordings = choose(recordings, data.max_clips_per_word, data.seed)
    samples = clip_samples(data)

    def read(item: Recording) -> Clip:
        try:
            audio, changes = load_clip(files[item.source], SAMPLE_RATE, samples)
        except BadRecording as reason:
            return Clip(item, None, reason=str(reason))
        return Clip(item, audio, changes) if audio.any() else Clip(item, None, reason="digital silence")

    noises, names, broken = read_background(root / BACKGROUND_FOLDER, SAMPLE_RATE, data.seed)
    split_by = "speaker_csv" if data.speaker_csv else "speaker_pattern" if data.speaker_pattern else "file"
    facts = {"kind": "folder", "folder": root.name, "files": len(files), "split_by": split_by, "background": names}
    return (
        Corpus(
            f"own words ({root.name})",
            in_order(read, recordings),
            len(recordings),
            noises,
            facts,
            skipped + broken,
            warnings,
        ),
        vocabulary,
    )


def source_fingerprint(data: recipe.Data, base: Path) -> dict[str, Any]:
    facts = listing_fingerprint(_root(data, base))
    if data.speaker_csv:
        path = base / data.speaker_csv
        if not path.is_file():
            raise TinyflowError(f"no file {path} (data.speaker_csv)", "a CSV file with the columns file,speaker")
        facts["speaker_csv"] = sha256(path)
    return facts


def split_groups(groups: dict[str, str], labels: dict[str, str]) -> dict[str, str]:
    """The split of every file: 80/10/10 by a hash of its group (its speaker), so that a group is in one split only.

    ``groups`` and ``labels`` map file to group and to class. The hash makes the split stable when recordings are
    added. Where a class would have no validation or no testing clip, the training groups whose hashes lie nearest
    are moved, as long as training keeps a group of every class of theirs.
    """
    place = {group: int(hashlib.sha1(group.encode()).hexdigest()[:12], 16) / 16**12 for group in set(groups.values())}
    split = {
        group: "validation" if at < VALIDATION else "testing" if at < VALIDATION + TESTING else "training"
        for group, at in place.items()
    }
    classes: dict[str, set[str]] = defaultdict(set)  # group -> its classes
    members: dict[str, set[str]] = defaultdict(set)  # class -> its groups
    for file, group in groups.items():
        classes[group].add(labels[file])
        members[labels[file]].add(group)

    def count(label: str, where: str) -> int:
        return sum(split[group] == where for group in members[label])

    for label in sorted(members):
        for wanted in ("testing", "validation"):
            if count(label, wanted):
                continue
            spare = [
                group
                for group in members[label]
                if split[group] == "training" and all(count(each, "training") > 1 for each in classes[group])
            ]
            if spare:
                split[min(spare, key=lambda group: place[group])] = wanted
    return {file: split[group] for file, group in groups.items()}


def _root(data: recipe.Data, base: Path) -> Path:
    if not data.path:
        raise TinyflowError(
            "data.path is empty, and data.source is folder",
            "name the folder that has a folder per word: --data my_words/",
        )
    root = base / data.path
    if not root.is_dir():
        raise TinyflowError(
            f"{root} is not a folder (data.path)", "name the folder that has a folder per word: --data my_words/"
        )
    return root


def _tree(root: Path) -> tuple[dict[str, list[Path]], list[dict[str, str]]]:
    """Word -> its audio files, and what had to be skipped. Folders named _like_this are no words; hidden files are
    ignored.
    """
    tree, skipped = {}, []
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if folder.name == BACKGROUND_FOLDER:
            continue
        if folder.name.startswith("_") and folder.name != UNKNOWN:
            skipped.append({"file": f"{folder.name}/", "reason": "a folder that starts with _ is no word"})
            continue
        tree[folder.name] = audio_files(folder)
        known = set(tree[folder.name])
        others = (path.name for path in sorted(folder.iterdir()) if path not in known and not path.name.startswith("."))
        skipped += [{"file": f"{folder.name}/{name}", "reason": "not an audio file name"} for name in others]
        if not tree[folder.name]:
            skipped.append({"file": f"{folder.name}/", "reason": "a folder without recordings"})
            del tree[folder.name]
    if not tree:
        raise TinyflowError(
            f"{root} has no folder with recordings",
            "one folder per word, with WAV, FLAC, OGG or MP3 files in it: my_words/hello/anna_1.wav",
        )
    return tree, skipped


def _vocabulary(data: recipe.Data, root: Path, words: list[str], warnings: list[str]) -> Vocabulary:
    """The recipe's; where the folder lacks the words of a task of Speech Commands, every folder is a class."""
    if data.task != "keywords":
        missing = [word for word in WORD_LISTS[data.task] if word not in words]
        if not missing:
            return vocabulary_of(data)
        warnings.append(
            f"the folder has no {', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}, so it is not the task"
            f" {data.task}: every folder is a class"
        )
        data = recipe.Data(source="folder", task="keywords", silence=data.silence)
    missing = [word for word in data.keywords if word not in words]
    if missing:
        raise TinyflowError(
            f"{root} has no folder for the keywords {', '.join(missing)}", f"folders there: {', '.join(words[:40])}"
        )
    vocabulary = vocabulary_of(data, words)
    if vocabulary.unknown and not set(words) - set(vocabulary.keywords):
        raise TinyflowError(
            f"{root} has no other word than the keywords for the class {UNKNOWN}",
            "record other words in folders of their own, or set data.unknown=false",
        )
    if len(vocabulary.labels) < 2:
        raise TinyflowError(
            f"{root} makes a single class: {', '.join(vocabulary.labels)}",
            "add a folder with other words, or data.silence",
        )
    return vocabulary


def _speaker_rule(data: recipe.Data, base: Path) -> Callable[[str], str]:
    """source ("word/name.wav") -> speaker, "" when unknown."""
    if data.speaker_csv:
        table = _speaker_table(base / data.speaker_csv)
        return lambda source: table.get(source) or table.get(source.partition("/")[2], "")
    if not data.speaker_pattern:
        return lambda source: ""
    try:
        pattern = re.compile(data.speaker_pattern)
    except re.error as error:
        raise TinyflowError(
            f"data.speaker_pattern {data.speaker_pattern!r} is no regular expression: {error}",
            r"for anna_1.wav: '^([a-z]+)_'",
        ) from None
    if pattern.groups < 1:
        raise TinyflowError(
            f"data.speaker_pattern {data.speaker_pattern!r} has no group",
            r"put parentheses around the speaker: for anna_1.wav '^([a-z]+)_'",
        )

    def speaker(source: str) -> str:
        found = pattern.search(source.partition("/")[2])
        return (found.group(1) or "") if found else ""

    return speaker


def _speaker_table(path: Path) -> dict[str, str]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise TinyflowError(
            f"cannot read {path} (data.speaker_csv): {error}", "a CSV file with the columns file,speaker"
        ) from None
    if not rows or not {"file", "speaker"} <= set(rows[0]):
        raise TinyflowError(
            f"{path} has the columns {list(rows[0]) if rows else 'of an empty file'}",
            "data.speaker_csv wants the columns file,speaker; file is word/name.wav or name.wav",
        )
    twice = [file for file, count in Counter(row["file"] for row in rows).items() if count > 1]
    if twice:
        raise TinyflowError(
            f"{path} names {twice[0]!r} more than once", "one line a file; write word/name.wav where names repeat"
        )
    return {row["file"]: (row["speaker"] or "").strip() for row in rows}
