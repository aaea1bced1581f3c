"""The tools that make an image: what the compiler and the linker are given, and what they complain of."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tinyflow.artefacts import FIRMWARE
from tinyflow.board import Board
from tinyflow.deploy.image.flags import CXX, SIZE, SMALL, TFLM_DEFINES, Flags, defines, image_flags
from tinyflow.deploy.image.linker import does_not_fit, linker_script, overflows
from tinyflow.deploy.image.sizes import Sizes, measure
from tinyflow.deploy.image.sources import ImageSources, image_sources
from tinyflow.errors import TinyflowError
from tinyflow.objects import ToolError, Unit, Workbench, workbench
from tinyflow.reference.hostlib import host_compiler

if TYPE_CHECKING:
    from tinyflow.deploy.tflm.library import Tflm

CROSS_COMPILER = "arm-none-eabi-gcc"
IMAGE, MAP, SCRIPT, COMMANDS = "firmware.elf", "firmware.map", "linker.ld", "compile_commands.json"


def compiler_of(board: Board) -> list[str]:
    if board.core.compiler == "host":
        return host_compiler()
    path = shutil.which(CROSS_COMPILER)
    if path is None:
        raise TinyflowError(
            f"{CROSS_COMPILER} is not installed",
            "run `make setup` (Debian: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi)",
        )
    return [path]


def compiler_version(board: Board) -> str:
    """First line of the --version of the compiler that builds for ``board``."""
    return subprocess.run([*compiler_of(board), "--version"], capture_output=True, text=True).stdout.partition("\n")[0]


def compile_image(board: Board, sources: ImageSources, stage: Path, out: Path, tflm: "Tflm | None" = None) -> str:
    """firmware.elf, its map and compile_commands.json (as from ``out``, which ``stage`` will become) in ``stage``: of
    ``sources`` and of what is in ``stage``/generated, linked by ``stage``/linker.ld; around ``tflm``, where given.

    What comes back are the options that the model was compiled with, every one that can change the code. Errors: what
    the compiler says; an image that does not fit, with by how much and what is largest.
    """
    compiler = tuple(compiler_of(board))
    flags = image_flags(board, compiler, interpreted=tflm is not None)
    units = _units(board, compiler, flags, sources, stage / "generated", tflm)
    roots = {"firmware": FIRMWARE, "generated": stage / "generated", "board": Path(board.folder)}
    with workbench(roots | ({"tflm": tflm.root} if tflm else {})) as bench:
        (stage / COMMANDS).write_text(_commands(bench, units, stage, out))
        try:
            objects = bench.compile(units)
            libraries = [*([bench.name(tflm.library)] if tflm else []), *flags.libraries]
            link = [*compiler, *flags.link, *objects, "-o", IMAGE, *libraries]
            _link(bench, link, board, stage)
        except ToolError as error:
            hint = (
                f"{tflm.library} was built by {tflm.archive.compiler or 'an unknown compiler'}"
                if tflm
                else "if the C is generated, this is a bug of tinyflow"
            )
            said = error.output.replace(f"{stage}/", "")[:3000]
            raise TinyflowError(f"the compiler failed for {board.name}:\n{said}", hint) from None
        for name in (IMAGE, MAP):
            if (bench.folder / name).is_file():
                shutil.copy(bench.folder / name, stage / name)
    return next((_of_code(unit) for unit in units if unit.source.stem == "model"), "")


def _units(
    board: Board,
    compiler: tuple[str, ...],
    flags: Flags,
    sources: ImageSources,
    generated: Path,
    tflm: "Tflm | None",
) -> list[Unit]:
    """In the order in which they are linked. What computes is told nothing of a board: boards of one core share it."""
    told = (*defines(board), *flags.c, SIZE)
    everything = (generated, *sources.includes)
    units = [Unit(source, compiler, told, everything) for source in sources.app]
    units += [Unit(source, compiler, (*flags.c, SIZE) if source in SMALL else flags.c) for source in sources.kernels]
    computing = (generated, *sources.computing)
    units += [
        Unit(source, compiler, flags.c, computing) for source in (*sources.frontend, *sorted(generated.glob("*.c")))
    ]
    if tflm:
        told = (*defines(board), *(f"-D{name}" for name in (*TFLM_DEFINES, *tflm.defines)), *flags.cxx, *CXX)
        cxx = (os.path.join(os.path.dirname(compiler[0]), "arm-none-eabi-g++"),)
        units += [Unit(source, cxx, told, everything, tflm.includes) for source in sources.interpreter]
    return units


def _link(bench: Workbench, command: list[str], board: Board, stage: Path) -> None:
    script = stage / SCRIPT
    if script.is_file():
        shutil.copy(script, bench.folder / SCRIPT)
    try:
        bench.run(command)
    except ToolError as error:
        over = overflows(error.output)
        if not over:
            raise
        raise does_not_fit(board, over, _with_room(bench, command, board)) from None


def _with_room(bench: Workbench, command: list[str], board: Board) -> Sizes | None:
    """Of the image linked once more with room to spare, to say what is large."""
    (bench.folder / SCRIPT).write_text(linker_script(board, measuring=True))
    try:
        bench.run(command)
    except ToolError:
        return None
    return measure(bench.folder / IMAGE)


def _commands(bench: Workbench, units: list[Unit], stage: Path, out: Path) -> str:
    commands = [
        {
            "directory": str(stage),
            "command": bench.shell([*unit.compiler, *bench.arguments(unit), "-c", bench.name(unit.source)]),
            "file": str(unit.source),
        }
        for unit in units
    ]
    return json.dumps(commands, indent=2).replace(str(stage), str(out)) + "\n"


def _of_code(unit: Unit) -> str:
    return " ".join(dict.fromkeys(word for word in unit.options if re.match(r"-(m|O|f|std)", word)))


def compile_probe(board: Board, tflm: "Tflm", stage: Path) -> None:
    """firmware.elf in ``stage``: not the app, but the program that finds the arena of the model in
    ``stage``/generated.
    """
    (stage / SCRIPT).write_text(linker_script(board))
    compile_image(board, image_sources(board, "tflm", program="probe"), stage, stage, tflm)
