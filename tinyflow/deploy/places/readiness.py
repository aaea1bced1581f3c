"""Readiness: whether a place that a board has is there on this machine at this moment."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from tinyflow.board import Board
from tinyflow.deploy.places.place import Where, emulator_version, places_of
from tinyflow.errors import TinyflowError


@dataclass(frozen=True)
class Readiness:
    """Of one place of one board."""

    name: Where
    ready: bool
    found: str  # "QEMU 10.0.2 (mps2-an386)", or why it is not ready


def places_here(boards: list[Board]) -> dict[str, tuple[Readiness, ...]]:
    """Where each of ``boards`` could run at this moment, by its name. Quick: only emulators' versions and USB are
    asked.
    """
    version = cache(emulator_version)
    return {board.name: tuple(_here(board, where, version) for where in places_of(board)) for board in boards}


def _here(board: Board, where: Where, version: Callable[[Where], str]) -> Readiness:
    if where == "host":
        return Readiness(where, True, "this machine")
    if where == "serial":
        return _plugged_in(board)
    needs = board.qemu if where == "qemu" else board.renode
    assert needs is not None  # places_of() has just said so
    what = f" ({board.qemu.machine})" if where == "qemu" and board.qemu else ""
    try:
        found = version(where)
    except TinyflowError as error:
        return Readiness(where, False, error.message + what)
    if not needs.takes(tuple(map(int, found.split()[1].split(".")))):
        return Readiness(where, False, f"{found} is older than {needs.minimum_version}{what}")
    return Readiness(where, True, found + what)


def _plugged_in(board: Board) -> Readiness:
    from tinyflow.deploy.flash.probes import own_probes

    probes = own_probes(board)
    found = "debug probe " + ", ".join(probe.serial or probe.usb_id for probe in probes)
    return Readiness("serial", bool(probes), found if probes else "no board plugged in")
