"""Listing recordings: folders of audio files, background noise, and a cheap hash that tells when they changed."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from tinyflow.data import background
from tinyflow.data.audio import EXTENSIONS, BadRecording, load_background
from tinyflow.errors import TinyflowError

BACKGROUND_FOLDER = "_background_noise_"


def audio_files(folder: Path) -> list[Path]:
    """Files directly in ``folder`` that are named like audio, sorted."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".") and path.is_file()
    )


def listing_fingerprint(folder: Path) -> dict[str, Any]:
    """Number of files below ``folder`` and a SHA-256 over their names, sizes and modification times."""
    lines: list[str] = []

    def visit(where: str, below: str) -> None:
        with os.scandir(where) as entries:
            for entry in entries:
                if entry.is_dir():
                    visit(entry.path, f"{below}{entry.name}/")
                else:
                    state = entry.stat()
                    lines.append(f"{below}{entry.name} {state.st_size} {state.st_mtime_ns}")

    try:
        visit(str(folder), "")
    except OSError as error:
        raise TinyflowError(
            f"cannot list {error.filename}: {error.strerror}", "check the folder's permissions"
        ) from None
    return {"files": len(lines), "listing": hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()}


def read_background(
    folder: Path, sample_rate: int, seed: int, test_clips: np.ndarray | None = None
) -> tuple[background.Noises, list[str], list[dict[str, str]]]:
    """Background noise by split from the recordings in ``folder`` (made, where there are none), their names, and what
    was skipped.

    ``test_clips``: test clips of silence, which training and validation must not hear (`background.split_in_time`).
    """
    recordings: list[np.ndarray] = []
    names, skipped = [], []
    for path in audio_files(folder) if folder.is_dir() else []:
        try:
            recordings.append(load_background(path, sample_rate))
            names.append(path.name)
        except BadRecording as reason:
            skipped.append({"file": f"{folder.name}/{path.name}", "reason": str(reason)})
    if not recordings:
        return background.made(sample_rate, seed), ["white, pink and brown noise, generated"], skipped
    noises = background.split_in_time(recordings, test_clips, sample_rate)
    if not all(noises.values()):  # too short, or all of it in the test
        stand_in = background.made(sample_rate, seed)
        noises = {split: noises[split] or stand_in[split] for split in noises}
    return noises, names, skipped
