"""Estimate: how long counted instructions may take on a real board. A range with its model, never a measurement."""

from tinyflow.board import Board
from tinyflow.deploy.counts import EstimatedTime, Profile
from tinyflow.errors import TinyflowError


def estimate_time(profile: Profile, counted: Board, target: Board) -> EstimatedTime:
    """Time on ``target`` of what was counted on ``counted``: instructions x cycles per instruction / clock.

    Errors: a target without an estimate, of another core (the compiler makes other instructions for it), or counts
    that are not instructions.
    """
    if target.estimate is None or not target.clock_hz:
        raise TinyflowError(
            f"board {target.name} has no estimate of cycles per instruction",
            "give its board.yaml an `estimate` and a `clock_hz` (docs/profile.md)",
        )
    if profile.unit != "instructions":
        raise TinyflowError(
            f"{counted.name} counts {profile.unit}, and an estimate needs instructions",
            "profile on an emulated board of the same core",
        )
    if counted.core.flags != target.core.flags:
        raise TinyflowError(
            f"instructions of {counted.name} ({' '.join(counted.core.flags)}) say nothing of {target.name}"
            f" ({' '.join(target.core.flags)})",
            "choose an emulated board of the same core: mps2-an386 for a Cortex-M4F",
        )
    network, frontend = target.estimate.network, target.estimate.frontend

    def milliseconds(instructions: float, cycles: tuple[float, float]) -> tuple[float, float]:
        return 1000 * instructions * cycles[0] / target.clock_hz, 1000 * instructions * cycles[1] / target.clock_hz

    by = f"{network[0]:g} to {network[1]:g} cycles" + (
        f" (front end {frontend[0]:g} to {frontend[1]:g})" if profile.frontend else ""
    )
    return EstimatedTime(
        target.name,
        target.clock_hz,
        milliseconds(profile.invoke_units, network),
        milliseconds(profile.frontend.units_per_second, frontend) if profile.frontend else None,
        f"instructions counted x {by} at {target.clock_hz / 1e6:g} MHz; no cycle was measured",
        target.estimate.source,
    )
