"""Estimate: how long counted instructions may take on a real board. A range with its model, never a measurement."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinyflow.board import Board
from tinyflow.errors import TinyflowError

if TYPE_CHECKING:
    from tinyflow.deploy.profile import Profile


@dataclass(frozen=True)
class EstimatedTime:
    """Milliseconds (least, most) on ``board``; ``model`` says how they were got."""

    board: str
    clock_hz: int
    cycles_per_instruction: tuple[float, float]
    inference_milliseconds: tuple[float, float]
    frontend_milliseconds_per_second: tuple[float, float] | None  # of audio
    model: str
    source: str


def estimate_time(profile: "Profile", counted: Board, target: Board) -> EstimatedTime:
    """Time on ``target`` of what was counted on ``counted``: instructions x cycles per instruction / clock.

    Errors: a target without an estimate, of another core (the compiler makes other instructions for it), or counts
    that are not instructions.
    """
    if target.estimate is None or not target.clock_hz:
        raise TinyflowError(f"board {target.name} has no estimate of cycles per instruction", "give its board.yaml an `estimate` (docs/profile.md)")
    if profile.unit != "instructions":
        raise TinyflowError(f"{counted.name} counts {profile.unit}, and an estimate needs instructions", "profile on an emulated board of the same core")
    if counted.cpu_flags != target.cpu_flags:
        raise TinyflowError(
            f"instructions of {counted.name} ({' '.join(counted.cpu_flags)}) say nothing of {target.name} ({' '.join(target.cpu_flags)})",
            "choose an emulated board of the same core: mps2-an386 for a Cortex-M4F",
        )
    low, high = target.estimate.cycles_per_instruction

    def milliseconds(instructions: float) -> tuple[float, float]:
        return 1000 * instructions * low / target.clock_hz, 1000 * instructions * high / target.clock_hz

    return EstimatedTime(
        target.name,
        target.clock_hz,
        (low, high),
        milliseconds(profile.invoke_units),
        milliseconds(profile.frontend.units_per_second) if profile.frontend else None,
        f"instructions counted x {low:g} to {high:g} cycles at {target.clock_hz / 1e6:g} MHz; no cycle was measured",
        target.estimate.source,
    )
