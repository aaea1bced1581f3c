"""How large an arena TFLM needs for a model on a core: its own allocator on an emulator of that core says so."""

import tempfile
from pathlib import Path

from tinyflow.board import Board, board_names, load_board
from tinyflow.compile.artefact import CompiledModel
from tinyflow.deploy.artefact import Firmware
from tinyflow.deploy.console import Console
from tinyflow.deploy.places.place import Place
from tinyflow.deploy.tflm.library import Tflm
from tinyflow.errors import TinyflowError
from tinyflow.progress import Progress, silent

TIMEOUT = 300.0  # host seconds
SHARE = 8  # of RAM, 1/SHARE is left to all but the arena


def emulated(board: Board) -> Place:
    """``board``, or another of the same core, on the emulator there with the most RAM. TinyflowError: there is none."""
    alike = [board, *(load_board(name) for name in board_names())]
    alike = [other for other in alike if (other.core.tflm, other.core.flags) == (board.core.tflm, board.core.flags)]
    found = [Place(other, "qemu") for other in alike if other.qemu]
    found += [Place(other, "renode") for other in alike if other.renode]
    if not found:
        raise TinyflowError(
            f"no emulator of the core of {board.name} ({board.core.tflm}, {' '.join(board.core.flags)}): TFLM's arena"
            " is found by running its allocator there",
            "name a core that an emulated board has, or take --runtime aot, whose arena is planned",
        )
    return max(found, key=lambda place: (place.where == "qemu", place.board.region("RAM").length))


def arena_need(compiled: CompiledModel, board: Board, tflm: Tflm, progress: Progress = silent) -> int:
    """Bytes, a multiple of 16: the smallest arena in which TFLM's allocator finds room on this core and the model runs.

    Found by a program of its own, firmware/model/tflm/probe.cc. The same inputs always give the same number.
    Errors: no emulator; a model that TFLM refuses on any arena.
    """
    from tinyflow.deploy.tflm.source import write_source
    from tinyflow.deploy.toolchain import compile_probe

    where = emulated(board)
    progress(f"build {board.name}", 0, 3, f"TFLM's arena, by its own allocator on {where.board.name}")
    ram = where.board.region("RAM").length
    with tempfile.TemporaryDirectory(prefix="tinyflow-") as folder:
        stage = Path(folder)
        (stage / "generated").mkdir()
        write_source(compiled, tflm, (ram - ram // SHARE) // 16 * 16, stage / "generated")
        compile_probe(where.board, tflm, stage)
        firmware = Firmware(stage, where.board.name, "", str(compiled.folder), "", "", 0, 0, 0, 0, 0)
        return _ask(firmware, where, compiled)


def _ask(firmware: Firmware, place: Place, compiled: CompiledModel) -> int:
    from tinyflow.deploy.device import start

    console = Console(start(firmware, place), TIMEOUT)
    try:
        return int(console.request("arena")["bytes"])
    except TinyflowError as error:
        hint = "TFLM's operators refuse what they do not compute; take --runtime aot"
        raise TinyflowError(
            f"TFLM does not run {compiled.tflite.name} on {place.board.name}: {error.message}", hint
        ) from None
    finally:
        console.transport.close()
