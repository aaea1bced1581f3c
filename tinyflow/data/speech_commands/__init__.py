"""Speech Commands (Warden 2018, arXiv:1804.03209): the official folder, or recordings packed into one stream per word
and split.
"""

import os
from pathlib import Path
from typing import Any

from tinyflow import recipe
from tinyflow.data.listing import listing_fingerprint
from tinyflow.data.speech_commands import archive
from tinyflow.data.speech_commands.official import is_word_folder, official_corpus
from tinyflow.data.speech_commands.packed import MANIFEST, packed_corpus
from tinyflow.data.store import Corpus
from tinyflow.data.vocabulary import Vocabulary, vocabulary_of
from tinyflow.errors import TinyflowError
from tinyflow.progress import Progress


def corpus(data: recipe.Data, base: Path, progress: Progress) -> tuple[Corpus, Vocabulary]:
    """The recordings of the recipe's task, from `data.path` or TINYFLOW_DATA, downloaded there when the recipe asks."""
    folder = recordings_folder(data, base)
    layout = find_layout(folder)
    if layout is None and data.download:
        archive.download(folder, progress)
        layout = find_layout(folder)
    if layout is None:
        raise _missing(folder)
    kind, root = layout
    vocabulary = vocabulary_of(data)
    return (packed_corpus if kind == "packed" else official_corpus)(root, vocabulary, data), vocabulary


def source_fingerprint(data: recipe.Data, base: Path) -> dict[str, Any]:
    if data.download:  # what is downloaded is checked against this, so it need not be there yet
        return {"archive": archive.SHA256}
    folder = recordings_folder(data, base)
    layout = find_layout(folder)
    if layout is None:
        raise _missing(folder)
    return {"layout": layout[0], **listing_fingerprint(layout[1])}


def recordings_folder(data: recipe.Data, base: Path) -> Path:
    """`data.path` (relative to the recipe), else TINYFLOW_DATA."""
    if data.path:
        return base / data.path
    if os.environ.get("TINYFLOW_DATA"):
        return Path(os.environ["TINYFLOW_DATA"])
    raise TinyflowError(
        "no Speech Commands recordings named: data.path is empty and TINYFLOW_DATA is not set",
        "give --data FOLDER, set TINYFLOW_DATA=FOLDER, or let tinyflow fetch them: --set data.path=FOLDER --set"
        " data.download=true (2.3 GB)",
    )


def _missing(folder: Path) -> TinyflowError:
    found = (
        "has no Speech Commands recordings (<word>/*_nohash_*.wav, or manifest.csv)"
        if folder.is_dir()
        else "is not a folder"
    )
    return TinyflowError(
        f"{folder} {found}",
        "give --data FOLDER, set TINYFLOW_DATA=FOLDER, or let tinyflow fetch them there: --set data.download=true"
        " (2.3 GB)",
    )


def find_layout(folder: Path) -> tuple[str, Path] | None:
    """("packed" or "official", its folder) when ``folder``, or a folder in it of the usual name,
    holds the recordings.
    """
    for root in (folder, folder / "speech_commands", folder / archive.NAME, folder / "SpeechCommands" / archive.NAME):
        if (root / MANIFEST).is_file() and (root / "audio").is_dir():
            return "packed", root
        if root.is_dir() and any(is_word_folder(path) for path in sorted(root.iterdir())):
            return "official", root
    return None
