"""Check: what a project's CI asks of a board in one go: self-test, validation, profile, and whether it got worse."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyflow.deploy.answers import SelfTest, Validation
from tinyflow.deploy.baseline import (
    POINTS,
    Comparison,
    baseline_of,
    compare,
    describe,
    read_baseline,
    refuse_unlike,
    write_baseline,
)
from tinyflow.deploy.checks import run_checks
from tinyflow.deploy.profile import Profile
from tinyflow.deploy.target import Target
from tinyflow.errors import TinyflowError
from tinyflow.progress import Progress, silent


@dataclass(frozen=True)
class Limits:
    """What a profile is compared with, and by how much it may be worse."""

    baseline: Path | None = None
    write: Path | None = None  # a baseline to write from this profile
    tolerance: float = 0.02  # of every size and count
    points: float = POINTS  # of accuracy

    def read(self) -> dict[str, Any] | None:
        """The baseline, before anything is made: a wrong path should show early. Later when one is
        written meanwhile.
        """
        if self.baseline and self.write and self.baseline.resolve() == self.write.resolve():
            raise TinyflowError(
                f"{self.baseline} is to be compared with and to be written",
                "a regression would pass from the second run on: name two files, or leave one of the options out",
            )
        return read_baseline(self.baseline) if self.baseline and (self.baseline.is_file() or not self.write) else None

    def expect(self, was: dict[str, Any] | None, target: Target) -> None:
        """Refuses a baseline of something else before the board is asked anything."""
        if was and self.baseline:
            known = {
                "board": target.board.name,
                "runtime": target.firmware.runtime,
                "place": target.place.where,
                "unit": target.place.counter.unit,
            }
            refuse_unlike(self.baseline, was, known)

    def compare(self, was: dict[str, Any] | None, profile: Profile, write: bool = True) -> Comparison | None:
        """Compares with ``was``, and (with ``write``) writes what is to be written. Errors: a baseline of something
        else.
        """
        if self.write and write:
            write_baseline(self.write, profile)
        return (
            compare(self.baseline, was or read_baseline(self.baseline), profile, self.tolerance, self.points)
            if self.baseline
            else None
        )


@dataclass(frozen=True)
class Checked:
    """What CI asks; the middle of it is what a baseline has."""

    passed: bool
    reasons: tuple[str, ...]  # a line for each thing that failed
    selftest: SelfTest | None  # None: no clips in this firmware
    validation: Validation
    format: int  # of a baseline
    board: str
    runtime: str
    place: str
    unit: str
    test_clips: str  # how many, and which recordings
    model: str
    compiler: str
    emulator: str
    figures: dict[str, int | float]
    comparison: Comparison | None  # None: without a baseline
    written: Path | None  # the baseline


def check(
    target: Target,
    audio: np.ndarray | None,
    limits: Limits,
    was: dict[str, Any] | None = None,
    out: Path | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Checked:
    """Every check (checks.py), validation on random rows of ``seed`` and ``audio``, then the limits.

    audio: int16 (N, samples). out: the profile's folder. Errors: those of its parts.
    """
    limits.expect(was, target)
    found = run_checks(target, audio, out, seed, progress)
    reasons, sound = list(found.reasons), not found.reasons
    try:
        comparison = limits.compare(was, found.profile, write=sound)  # a firmware that answers wrongly is no baseline
    except TinyflowError as error:
        if sound:
            raise
        comparison = None  # what the firmware failed in is not hidden behind its baseline
        reasons.append(error.message)
    if comparison:
        reasons += [f"regression: {describe(change)}" for change in comparison.worse]
    return Checked(
        passed=not reasons,
        reasons=tuple(reasons),
        selftest=found.selftest,
        validation=found.validation,
        **baseline_of(found.profile),
        comparison=comparison,
        written=limits.write if sound else None,
    )
