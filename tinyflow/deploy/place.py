"""Where a firmware runs: under an emulator, on this machine, or on the board itself. The image is the same everywhere."""

from dataclasses import replace

from tinyflow.board import Board
from tinyflow.errors import TinyflowError

PLACES = ("qemu", "renode", "host", "serial")


def place(board: Board, emulator: str | None = None, port: str | None = None) -> Board:
    """``board`` as it is met there: ``emulator`` set, its counter meaning what it counts there.

    emulator: one of PLACES; empty: this machine for the host board, the real board when ``port`` is given or its probe
    is plugged in, else an emulator that the board has, QEMU first. port: serial device of the console.
    Errors: a place that the board does not have.
    """
    has = [name for name, there in (("qemu", board.qemu), ("renode", board.renode), ("host", board.port == "host"), ("serial", board.real)) if there]
    chosen = emulator or board.emulator or _usual(board, has, port)
    if chosen not in has:
        raise TinyflowError(f"board {board.name} does not run on {chosen or 'anything'}", f"it runs on: {', '.join(has) or 'nothing; board.yaml names no emulator and no probe'}")
    if port and chosen != "serial":
        raise TinyflowError(f"--port {port} is the console of a real board; {board.name} runs under {chosen} here", "leave one of the two out")
    board = replace(board, emulator=chosen, console=replace(board.console, device=port or board.console.device))
    there = board.renode if chosen == "renode" else board.qemu if chosen == "qemu" else None
    return replace(board, counter=there.counter) if there and there.counter else board


def _usual(board: Board, has: list[str], port: str | None) -> str:
    if not has:
        return ""
    if "serial" in has and (port or len(has) == 1):
        return "serial"
    if "serial" in has:
        from tinyflow.deploy.flash import list_probes

        if list_probes(board):
            return "serial"
    return has[0]


def emulator_version(board: Board) -> str:
    """What ``board`` runs under, with its version: "QEMU 10.0.2"; empty on this machine and on real hardware."""
    if board.emulator == "qemu":
        from tinyflow.deploy.qemu import qemu_version

        return "QEMU " + ".".join(map(str, qemu_version()))
    if board.emulator == "renode":
        from tinyflow.deploy.renode import renode_version

        return "Renode " + ".".join(map(str, renode_version()))
    return ""
