"""A stage, a stage as planned, and the image that the last of them builds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from tinyflow.board import Board
from tinyflow.deploy.artefact import Runtime

AnyRun = TypeVar("AnyRun")


@dataclass(frozen=True)
class Image:
    """What the stage build makes: firmware for a board, and what runs the network in it."""

    board: Board
    runtime: Runtime = "aot"


@dataclass(frozen=True)
class Stage(Generic[AnyRun]):
    """One stage of a kind of run.

    Its fingerprint covers ``version``, ``part``, ``sources`` and the outputs of ``needs``. A stage whose output may
    have taken hours names no sources: its version is raised by hand, when what older versions made is wrong.
    """

    name: str
    version: int  # of the artefact's format; raised by hand, makes older artefacts stale
    needs: tuple[str, ...]  # stages whose artefacts it reads
    part: Callable[[AnyRun, Image | None], Any]  # what else it depends on, JSON-able
    make: Callable[[AnyRun, Image | None], None]
    sources: Callable[[AnyRun, Image | None], dict[str, str]] = lambda run, image: {}  # of tinyflow, with their SHA-256
    packages: tuple[str, ...] = ()  # whose versions its manifest notes
    extra: str = ""  # of tinyflow, without which it cannot be made
    sections: tuple[str, ...] = ()  # of the recipe that its part reads, to say what changed


@dataclass(frozen=True)
class Step:
    """A stage as planned: whether it must run, and why."""

    stage: str
    folder: Path
    fingerprint: str
    runs: bool
    reason: str
    last_seconds: float  # how long it took when it last ran here; 0: never
