"""Where a firmware runs: under an emulator, on this machine, or on the board itself. The image is
the same everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from tinyflow.board import Board
from tinyflow.errors import TinyflowError

PLACES = ("qemu", "renode", "host", "serial")


def place(board: Board, emulator: str | None = None, port: str | None = None) -> Board:
    """``board`` as it is met there: ``emulator`` set, its counter meaning what it counts there.

    emulator: one of PLACES; empty: this machine for the host board, the real board when ``port`` is given or a probe
    is plugged in that may be its own, else an emulator that the board has, QEMU first. port: serial device of the
    console.
    Errors: a place that the board does not have.
    """
    has = places_of(board)
    chosen = emulator or board.emulator or _usual(board, has, port)
    if chosen not in has:
        raise TinyflowError(
            f"board {board.name} does not run on {chosen or 'anything'}",
            f"it runs on: {', '.join(has) or 'nothing; board.yaml names no emulator and no probe'}",
        )
    if port and chosen != "serial":
        raise TinyflowError(
            f"--port {port} is the console of a real board; {board.name} runs under {chosen} here",
            "leave one of the two out",
        )
    board = replace(board, emulator=chosen, console=replace(board.console, device=port or board.console.device))
    there = board.renode if chosen == "renode" else board.qemu if chosen == "qemu" else None
    return replace(board, counter=there.counter) if there and there.counter else board


def places_of(board: Board) -> list[str]:
    """Those of PLACES that the board has, plugged in or installed or not."""
    there = {"qemu": board.qemu, "renode": board.renode, "host": board.port == "host", "serial": board.real}
    return [name for name in PLACES if there[name]]


def _usual(board: Board, has: list[str], port: str | None) -> str:
    if not has:
        return ""
    if "serial" in has and (port or len(has) == 1):
        return "serial"
    if "serial" in has:
        from tinyflow.deploy.flash.probes import own_probes

        if own_probes(board):
            return "serial"
    return has[0]


def emulator_version(name: str) -> str:
    """The emulator of the place ``name`` with its version: "QEMU 10.0.2"; empty for host and serial. TinyflowError: not
    installed.
    """
    if name == "qemu":
        from tinyflow.deploy.places.qemu import qemu_version

        return "QEMU " + ".".join(map(str, qemu_version()))
    if name == "renode":
        from tinyflow.deploy.places.renode import renode_version

        return "Renode " + ".".join(map(str, renode_version()))
    return ""


@dataclass(frozen=True)
class Place:
    """A place that a board has, as this machine finds it now."""

    name: str  # of PLACES
    ready: bool
    found: str  # "QEMU 10.0.2 (mps2-an386)", or why it is not ready


def places_here(boards: list[Board]) -> dict[str, tuple[Place, ...]]:
    """Where each of ``boards`` could run at this moment, by its name. Quick: only emulators' versions and USB are
    asked.
    """
    version = cache(emulator_version)
    return {board.name: tuple(_here(board, name, version) for name in places_of(board)) for board in boards}


def _here(board: Board, name: str, version: Callable[[str], str]) -> Place:
    if name == "host":
        return Place(name, True, "this machine")
    if name == "serial":
        from tinyflow.deploy.flash.probes import own_probes

        probes = own_probes(board)
        return Place(
            name,
            bool(probes),
            (
                "debug probe " + ", ".join(probe.serial or probe.usb_id for probe in probes)
                if probes
                else "no board plugged in"
            ),
        )
    needs = board.qemu if name == "qemu" else board.renode
    what = f" ({board.qemu.machine})" if name == "qemu" else ""
    try:
        found = version(name)
    except TinyflowError as error:
        return Place(name, False, error.message + what)
    if not needs.takes(tuple(map(int, found.split()[1].split(".")))):
        return Place(name, False, f"{found} is older than {needs.minimum_version}{what}")
    return Place(name, True, found + what)
