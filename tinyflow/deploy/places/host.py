"""Board `host`: the same C in a process of this machine."""

from tinyflow.board import Board
from tinyflow.deploy.artefact import Firmware
from tinyflow.deploy.places.process import ProcessTransport
from tinyflow.errors import TinyflowError


def start_host(firmware: Firmware, board: Board) -> ProcessTransport:
    if not firmware.elf.is_file():
        raise TinyflowError(f"{firmware.elf} does not exist", f"tinyflow build --board {board.name}")
    # Leaks are none of a firmware without a heap; what the sanitizers find ends the process and is quoted.
    environment = {
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=0",
    }
    return ProcessTransport(f"board {board.name}", [str(firmware.elf.resolve())], environment)
