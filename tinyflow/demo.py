"""The demo: every stage, firmware for each board of the recipe, and on the emulated ones every check."""

import time
from typing import Any

from tinyflow.board import Board, load_board
from tinyflow.deploy.target import Target
from tinyflow.pipeline import Image, RecipeRun, make_firmware


def run_demo(run: RecipeRun) -> dict[str, Any]:
    """Runs what is missing, then self-test, validation and profile on each board that runs here.

    Returns passed, accuracy, boards {name: firmware sizes, and what the board answered}, seconds {stage: s}.
    """
    seconds: dict[str, float] = {}
    boards: dict[str, Any] = {}
    compiled = None
    for name in run.recipe.deploy.boards:  # a typo, or a compiler that is not there, should show before the training
        run.plan("build", Image(load_board(name)))
    for name in run.recipe.deploy.boards:
        target, steps = make_firmware(run, name, "aot", "qemu" if load_board(name).qemu else None)
        board, compiled, firmware = target.board, target.compiled, target.firmware
        for step in steps:
            seconds[f"build {name}" if step.stage == "build" else step.stage] = step.last_seconds
        facts = {
            key: getattr(firmware, key)
            for key in (
                "build_id",
                "flash_bytes",
                "model_bytes",
                "ram_bytes",
                "arena_bytes",
                "clips",
                "compiler",
                "flags",
            )
        }
        boards[name] = facts | {"elf": str(firmware.elf), "ran": runs_here(board)}
        if runs_here(board):
            start = time.monotonic()
            boards[name] |= _checks(run, target)
            seconds[f"checks on {name}"] = time.monotonic() - start
    return {
        "passed": all(facts.get("passed", True) for facts in boards.values()),
        "run": str(run.folder.root),
        "recordings": compiled.accuracy["recordings"],
        "clips": compiled.accuracy["clips"],
        "accuracy": {"float": compiled.accuracy["float"], "int8": compiled.accuracy["int8"]},
        "checks": compiled.checks,
        "macs": compiled.macs,
        "frontend": compiled.frontend.config if compiled.frontend else None,
        "boards": boards,
        "seconds": {stage: round(value, 1) for stage, value in seconds.items()},
    }


def runs_here(board: Board) -> bool:
    """Whether the board needs no hardware."""
    return board.qemu is not None or board.core.compiler == "host"


def _checks(run: RecipeRun, target: Target) -> dict[str, Any]:
    from tinyflow.deploy.profile import profile
    from tinyflow.deploy.run import selftest
    from tinyflow.deploy.validate import validate

    said = selftest(target)
    proof = validate(target, audio=run.parity_audio(), progress=run.progress)
    counts = profile(target, run.folder.profile(target.board.name), run.progress)
    return {
        "passed": said["passed"] and proof["passed"],
        "selftest": {key: said[key] for key in ("passed", "clips", "features_equal", "answers_equal", "reason")},
        "validation": {key: proof[key] for key in ("passed", "rows", "equal", "oracle", "reason")},
        "parity": proof["parity"],
        "unit": counts.unit,
        "inference": counts.invoke_units,
        "per_mac": counts.units_per_mac,
        "frontend_per_second": counts.frontend.units_per_second if counts.frontend else None,
        "stack_bytes": max(counts.stack_bytes, counts.frontend.stack_bytes if counts.frontend else 0),
        "counter": counts.counter_note,
    }
