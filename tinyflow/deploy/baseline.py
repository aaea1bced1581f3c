"""Baseline: the figures of a profile that a project commits, so that a later one that got worse is noticed.

A small JSON file, sorted, a figure a line. Only like is compared with like: the same board, runtime, emulator and
test recordings. Another model is what a comparison is for; another compiler or emulator version is a note.
"""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyflow.artefacts import read_json, write_text
from tinyflow.deploy.profile import Profile
from tinyflow.errors import TinyflowError
from tinyflow.results import json_property

FORMAT = 1
TOLERANCE = "2%"
POINTS = 1.0  # of accuracy: 1 of 100 clips
ALIKE = ("board", "runtime", "place", "unit", "test_clips")  # what must be the same on both sides
TOLD = ("model", "compiler", "emulator")  # what may differ, and is then said


@dataclass(frozen=True)
class Change:
    """One figure, then and now."""

    figure: str
    was: float
    now: float
    change: float  # share of ``was``; of an accuracy its difference
    allowed: float  # to the worse, in the same measure; beyond it to the better is told
    verdict: str  # same, within, better, worse


@dataclass(frozen=True)
class Comparison:
    baseline: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...]

    @property
    def worse(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.verdict == "worse")

    @property
    def better(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.verdict == "better")

    @json_property
    def passed(self) -> bool:
        return not self.worse


def baseline_of(profile: Profile) -> dict[str, Any]:
    """What a baseline file holds of ``profile``. Wall time (the host's nanoseconds) is no figure: it differs every
    time.
    """
    frontend, unit = profile.frontend, profile.unit
    figures: dict[str, float] = {
        "arena_bytes": profile.arena_bytes,
        "flash_bytes": profile.sizes.flash_bytes,
        "model_bytes": profile.sizes.model_bytes,
        "ram_bytes": profile.sizes.ram_bytes,
        "stack_bytes": profile.stack_bytes,
    }
    if frontend:
        figures["frontend_stack_bytes"] = frontend.stack_bytes
    if unit != "nanoseconds":
        figures[f"{unit}_per_inference"] = profile.invoke_units
        if frontend:
            figures[f"frontend_{unit}_per_second"] = round(frontend.units_per_second)
    accuracy = profile.accuracy
    figures |= {
        f"accuracy_{kind}": accuracy[kind] for kind in ("float", "int8") if isinstance(accuracy.get(kind), float)
    }
    return {
        "format": FORMAT,
        "board": profile.board,
        "runtime": profile.runtime,
        "place": profile.place,
        "unit": unit,
        "test_clips": f"{accuracy['clips']}, {accuracy['recordings']}" if accuracy else "none",
        "model": f"{profile.model} {profile.model_sha256[:16]}",
        "compiler": profile.compiler,
        "emulator": profile.emulator,
        "figures": figures,
    }


def write_baseline(path: Path, profile: Profile) -> None:
    write_text(path, json.dumps(baseline_of(profile), indent=2, sort_keys=True) + "\n")


def read_baseline(path: Path) -> dict[str, Any]:
    """TinyflowError: no such file, no JSON, or no baseline."""
    if not path.is_file():
        raise TinyflowError(
            f"there is no baseline {path}",
            f"write it once, and commit it: the same command with --write-baseline {path}",
        )
    try:
        value = read_json(path)
    except TinyflowError as error:
        raise TinyflowError(str(error), f"write it anew: --write-baseline {path}") from None
    numbers = isinstance(value, dict) and isinstance(value.get("figures"), dict)
    numbers = numbers and all(type(item) in (int, float) and math.isfinite(item) for item in value["figures"].values())
    if not numbers or value.get("format") != FORMAT or not all(isinstance(value.get(key), str) for key in ALIKE + TOLD):
        raise TinyflowError(
            f"{path} is no baseline of this version of tinyflow", f"write it anew: --write-baseline {path}"
        )
    return value


def refuse_unlike(path: Path, was: dict[str, Any], now: dict[str, str]) -> None:
    """TinyflowError when the baseline ``was`` is of something else than ``now`` (keys of ALIKE, all or those known
    yet).
    """
    for key, value in now.items():
        if was[key] != value:
            raise TinyflowError(
                f"{path} cannot be compared: its {key.replace('_', ' ')} is {was[key]!r}, this profile's is {value!r}",
                "give every board, runtime and emulator a baseline of its own, or write this one anew:"
                f" --write-baseline {path}",
            )


def compare(
    path: Path, was: dict[str, Any], profile: Profile, tolerance: float = 0.02, points: float = POINTS
) -> Comparison:
    """``profile`` against the baseline ``was`` of the file ``path``.

    tolerance: by how much a figure may get worse, as a share; points: an accuracy, in points of 100.
    Errors: a baseline of something else.
    """
    now = baseline_of(profile)
    refuse_unlike(path, was, {key: now[key] for key in ALIKE})
    gone = sorted(was["figures"].keys() - now["figures"].keys())
    if gone:
        raise TinyflowError(
            f"{path} has {', '.join(gone)}; this profile has none",
            f"write the baseline anew if that is meant: --write-baseline {path}",
        )
    changes = tuple(
        _change(figure, was["figures"][figure], value, tolerance, points / 100)
        for figure, value in sorted(now["figures"].items())
        if figure in was["figures"]
    )
    notes = [
        f"another {key} than the baseline's: {now[key] or 'none'}, was {was[key] or 'none'}"
        for key in TOLD
        if was[key] != now[key]
    ]
    new = sorted(now["figures"].keys() - was["figures"].keys())
    notes += [f"not in the baseline yet: {', '.join(new)}"] if new else []
    return Comparison(str(path), changes, tuple(notes))


def _change(figure: str, was: float, now: float, tolerance: float, points: float) -> Change:
    accuracy = figure.startswith("accuracy_")
    allowed = points if accuracy else tolerance
    change = now - was if accuracy else (now - was) / was if was else float(now > 0)
    worse = -change if accuracy else change
    verdict = (
        "same" if now == was else "worse" if worse > allowed + 1e-12 else "better" if -worse > allowed else "within"
    )
    return Change(figure, was, now, change, allowed, verdict)


def parse_tolerance(text: str) -> float:
    """ "2%" -> 0.02."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", text.strip())
    if not found:
        raise TinyflowError(f"--tolerance {text} is no percentage", "write it as --tolerance 2%")
    return float(found[1]) / 100


def describe(change: Change) -> str:
    """ "flash bytes 118,904, was 110,000: +8.09 %, allowed +2.00 %"."""
    name = change.figure.replace("_", " ")
    if change.figure.startswith("accuracy_"):
        return (
            f"{name} {100 * change.now:.2f} %, was {100 * change.was:.2f} %: {100 * change.change:+.2f} points, allowed"
            f" {-100 * change.allowed:+.2f}"
        )
    return (
        f"{name} {change.now:,}, was {change.was:,}: {100 * change.change:+.2f} %, allowed"
        f" {100 * change.allowed:+.2f} %"
    )
