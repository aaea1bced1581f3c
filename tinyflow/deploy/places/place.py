"""Place: a board where it runs now: under an emulator, on this machine, or itself, plugged in.

The image is the same everywhere; what its counter counts is not.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from tinyflow.board import Board, Counter, Qemu, Renode
from tinyflow.errors import TinyflowError

Where = Literal["qemu", "renode", "host", "serial"]
WHERE: tuple[Where, ...] = get_args(Where)


@dataclass(frozen=True)
class Place:
    """A board, and where it is met: an emulator, this machine, a serial port."""

    board: Board
    where: Where
    port: str = ""  # serial device of the console; empty: found by the probe's USB id

    @property
    def counter(self) -> Counter:
        """What the firmware's counts mean there."""
        there: Qemu | Renode | None = {"qemu": self.board.qemu, "renode": self.board.renode}.get(self.where)
        return there.counter if there and there.counter else self.board.counter

    def emulator(self) -> str:
        """With its version, "QEMU 10.0.2"; empty for host and serial. TinyflowError: not installed."""
        return emulator_version(self.where)


def choose_place(board: Board, where: str | None = None, port: str | None = None) -> Place:
    """Where ``board`` is met.

    where: one of WHERE; empty: this machine for the host board, the real board when ``port`` is given or a probe is
    plugged in that may be its own, else an emulator that the board has, QEMU first. port: serial device of the console.
    Errors: a place that the board does not have.
    """
    has = places_of(board)
    chosen = where or _usual(board, has, port)
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
    return Place(board, chosen, port or "")


def places_of(board: Board) -> list[Where]:
    """Those of WHERE that the board has, plugged in or installed or not."""
    there = {"qemu": board.qemu, "renode": board.renode, "host": board.port == "host", "serial": board.real}
    return [where for where in WHERE if there[where]]


def _usual(board: Board, has: list[Where], port: str | None) -> str:
    if not has:
        return ""
    if "serial" in has and (port or len(has) == 1):
        return "serial"
    if "serial" in has:
        from tinyflow.deploy.flash.probes import own_probes

        if own_probes(board):
            return "serial"
    return has[0]


def emulator_version(where: Where) -> str:
    """The emulator there with its version: "QEMU 10.0.2"; empty for host and serial. TinyflowError: not installed."""
    if where == "qemu":
        from tinyflow.deploy.places.qemu import qemu_version

        return "QEMU " + ".".join(map(str, qemu_version()))
    if where == "renode":
        from tinyflow.deploy.places.renode import renode_version

        return "Renode " + ".".join(map(str, renode_version()))
    return ""
