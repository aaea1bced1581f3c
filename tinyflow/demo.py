"""The demo: every stage, firmware for each board of the recipe, and on the emulated ones every check."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyflow.board import Board, load_board
from tinyflow.compile import load_compiled
from tinyflow.deploy.answers import Parity
from tinyflow.deploy.target import Target
from tinyflow.pipeline import Image, RecipeRun, make_firmware


@dataclass(frozen=True)
class ImageMade:
    """Firmware that nothing here can run."""

    build_id: str
    flash_bytes: int
    model_bytes: int
    ram_bytes: int
    arena_bytes: int
    clips: int  # self-test clips in the image
    compiler: str
    flags: str
    elf: Path
    ran: bool


@dataclass(frozen=True)
class SelfTestInBrief:
    passed: bool
    clips: int
    features_equal: int
    answers_equal: int
    reason: str


@dataclass(frozen=True)
class ValidationInBrief:
    passed: bool
    rows: int
    equal: int
    oracle: str
    reason: str


@dataclass(frozen=True)
class ImageChecked(ImageMade):
    """Firmware, and what it answered."""

    passed: bool
    selftest: SelfTestInBrief
    validation: ValidationInBrief
    parity: Parity | None
    unit: str  # of every count
    inference: int
    per_mac: float | None
    frontend_per_second: float | None  # of audio
    stack_bytes: int  # high-water mark
    counter: str  # what it means


@dataclass(frozen=True)
class Demonstrated:
    passed: bool
    run: Path  # its folder
    recordings: str
    clips: int  # of the test
    accuracy: dict[str, float]  # float and int8
    checks: dict[str, Any]  # largest differences on the way from torch to int8
    macs: int
    frontend: dict[str, Any] | None  # its configuration
    boards: dict[str, ImageChecked | ImageMade]
    seconds: dict[str, float]  # by stage


def run_demo(run: RecipeRun) -> Demonstrated:
    """Runs what is missing, then self-test, validation and profile on each board that runs here."""
    seconds: dict[str, float] = {}
    boards: dict[str, ImageChecked | ImageMade] = {}
    for name in run.recipe.deploy.boards:  # a typo, or a compiler that is not there, should show before the training
        run.plan("build", Image(load_board(name)))
    for name in run.recipe.deploy.boards:
        target, steps = make_firmware(run, name, "aot", "qemu" if load_board(name).qemu else None)
        board, firmware = target.board, target.firmware
        for step in steps:
            seconds[f"build {name}" if step.stage == "build" else step.stage] = step.last_seconds
        same = (
            "build_id",
            "flash_bytes",
            "model_bytes",
            "ram_bytes",
            "arena_bytes",
            "clips",
            "compiler",
            "flags",
            "elf",
        )
        facts = {key: getattr(firmware, key) for key in same}
        if not runs_here(board):
            boards[name] = ImageMade(**facts, ran=False)
        else:
            start = time.monotonic()
            boards[name] = _checked(run, target, facts)
            seconds[f"checks on {name}"] = time.monotonic() - start
    compiled = load_compiled(run.folder.compile)
    return Demonstrated(
        passed=all(image.passed for image in boards.values() if isinstance(image, ImageChecked)),
        run=run.folder.root,
        recordings=compiled.accuracy["recordings"],
        clips=compiled.accuracy["clips"],
        accuracy={"float": compiled.accuracy["float"], "int8": compiled.accuracy["int8"]},
        checks=compiled.checks,
        macs=compiled.macs,
        frontend=compiled.frontend.config if compiled.frontend else None,
        boards=boards,
        seconds={stage: round(value, 1) for stage, value in seconds.items()},
    )


def runs_here(board: Board) -> bool:
    """Whether the board needs no hardware."""
    return board.qemu is not None or board.core.compiler == "host"


def _checked(run: RecipeRun, target: Target, facts: dict[str, Any]) -> ImageChecked:
    from tinyflow.deploy.checks import run_checks

    found = run_checks(target, run.parity_audio(), run.folder.profile(target.board.name), progress=run.progress)
    said, proof, counts = found.selftest, found.validation, found.profile
    assert said  # the demo's recipe has a front end, so its images have clips
    return ImageChecked(
        **facts,
        ran=True,
        passed=not found.reasons,
        selftest=SelfTestInBrief(said.passed, said.clips, said.features_equal, said.answers_equal, said.reason),
        validation=ValidationInBrief(proof.passed, proof.rows, proof.equal, proof.oracle, proof.reason),
        parity=proof.parity,
        unit=counts.unit,
        inference=counts.invoke_units,
        per_mac=counts.units_per_mac,
        frontend_per_second=counts.frontend.units_per_second if counts.frontend else None,
        stack_bytes=max(counts.stack_bytes, counts.frontend.stack_bytes if counts.frontend else 0),
        counter=counts.counter_note,
    )
