"""The tools that make an image: the compiler, CMake and ninja, what they are told, and what they complain of."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyflow.artefacts import FIRMWARE
from tinyflow.board import Board
from tinyflow.deploy.image.linker import does_not_fit, linker_script, overflows
from tinyflow.deploy.image.sizes import measure
from tinyflow.deploy.image.sources import ImageSources, image_sources
from tinyflow.errors import TinyflowError
from tinyflow.reference.hostlib import host_compiler

if TYPE_CHECKING:
    from tinyflow.deploy.tflm.library import Tflm

CROSS_COMPILER = "arm-none-eabi-gcc"


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


def _tool(name: str) -> str:
    """cmake or ninja: the wheel beside this Python first, else from the path."""
    beside = Path(sys.executable).parent / name
    path = str(beside) if beside.is_file() else shutil.which(name)
    if path is None:
        raise TinyflowError(f"{name} is not installed", "run `make setup` (or: pip install 'tinyflow[deploy]')")
    return path


def compile_image(
    board: Board,
    compiler: list[str],
    sources: ImageSources,
    stage: Path,
    tflm: "Tflm | None" = None,
) -> None:
    """firmware.elf in ``stage``/cmake, of ``sources`` and of what is in ``stage``/generated; around ``tflm``, where
    given.
    """
    defines = {**board.defines, "CONSOLE_BAUD": board.console.baud, "CLOCK_HZ": board.clock_hz}
    settings: dict[str, Any] = {
        "CMAKE_MAKE_PROGRAM": _tool("ninja"),
        "TINYFLOW_APP": _list(sources.app),
        "TINYFLOW_SOURCES": _list((*sources.kernels, *sources.frontend)),
        "TINYFLOW_INCLUDES": _list(sources.includes),
        "TINYFLOW_GENERATED": stage / "generated",
        "TINYFLOW_DEFINES": ";".join(f"{key}={value}" for key, value in defines.items()),
    }
    if tflm:
        settings |= {
            "TINYFLOW_TFLM": _list(sources.interpreter),
            "TINYFLOW_TFLM_ROOT": tflm.root,
            "TINYFLOW_TFLM_LIBRARY": tflm.library,
            "TINYFLOW_TFLM_INCLUDES": _list(tflm.includes),
            "TINYFLOW_TFLM_DEFINES": ";".join(tflm.defines),
        }
    if board.core.compiler == "host":
        settings |= {
            "CMAKE_C_COMPILER": shutil.which(compiler[0]),
            "CMAKE_C_FLAGS": shlex.join(compiler[1:]),
            "TINYFLOW_LINKER_SCRIPT": "",
        }
    else:
        settings |= {
            "CMAKE_TOOLCHAIN_FILE": FIRMWARE / "toolchain.cmake",
            "TINYFLOW_CPU_FLAGS": shlex.join(board.core.flags),
            "TINYFLOW_LINKER_SCRIPT": stage / "linker.ld",
        }
    build = stage / "cmake"
    arguments = [f"-D{key}={value}" for key, value in settings.items()]
    status, output = _run([_tool("cmake"), "-G", "Ninja", "-S", str(FIRMWARE), "-B", str(build), *arguments])
    if status:
        raise TinyflowError(f"cmake failed for {board.name}:\n{output[-3000:]}", "run `tinyflow doctor`")
    status, output = _run([_tool("cmake"), "--build", str(build)])
    if status:
        over = overflows(output)
        if over:
            raise _too_large(board, over, stage, build)
        hint = (
            f"{tflm.library} was built by {tflm.archive.compiler or 'an unknown compiler'}"
            if tflm
            else "if the C is generated, this is a bug of tinyflow"
        )
        raise TinyflowError(f"the compiler failed for {board.name}:\n{_errors(output)}", hint)


def _list(paths: Iterable[Path]) -> str:
    """As CMake writes lists."""
    return ";".join(map(str, paths))


def _too_large(board: Board, over: dict[str, int], stage: Path, build: Path) -> TinyflowError:
    """Links once more with room to spare, to say what is large."""
    (stage / "linker.ld").write_text(linker_script(board, measuring=True))
    status, _ = _run([_tool("cmake"), "--build", str(build)])
    return does_not_fit(board, over, None if status else measure(build / "firmware.elf"))


def _run(command: list[str]) -> tuple[int, str]:
    # The environment's flags would slip into the image behind the build id's back; a translated linker would not be
    # understood.
    unwanted = (
        "CFLAGS",
        "CXXFLAGS",
        "CPPFLAGS",
        "LDFLAGS",
        "CMAKE_GENERATOR",
        "CMAKE_TOOLCHAIN_FILE",
        "LANGUAGE",
        "LC_ALL",
    )
    environment = {key: value for key, value in os.environ.items() if key not in unwanted} | {"LC_MESSAGES": "C"}
    if "LC_ALL" in os.environ:
        environment["LC_CTYPE"] = os.environ["LC_ALL"]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment)
    return result.returncode, result.stdout + result.stderr


def _errors(output: str) -> str:
    """The compiler's complaints without ninja's command lines."""
    lines = [
        line for line in output.splitlines() if not re.match(r"\[\d+/\d+\]|FAILED|ninja:", line) and " -o " not in line
    ]
    return "\n".join(lines)[:3000]


def compile_flags(stage: Path) -> str:
    """The options that model.c (or, around TFLM, model.cc) was compiled with: every one that can change the code."""
    commands = json.loads((stage / "cmake" / "compile_commands.json").read_text())
    command = next(entry["command"] for entry in commands if Path(entry["file"]).stem == "model")
    options = [word for word in shlex.split(command)[1:] if re.match(r"-(m|O|f|std)", word)]
    return " ".join(dict.fromkeys(word for word in options if not word.startswith("-ffile-prefix-map")))


def keep_image(stage: Path, out: Path) -> None:
    """Keeps the image, its map and the compile commands (as from the final place), drops the rest."""
    build = stage / "cmake"
    commands = (build / "compile_commands.json").read_text()
    (stage / "compile_commands.json").write_text(commands.replace(str(stage), str(out)))
    for name in ("firmware.elf", "firmware.map"):
        if (build / name).is_file():
            os.replace(build / name, stage / name)
    shutil.rmtree(build)


def compile_probe(board: Board, tflm: "Tflm", stage: Path) -> None:
    """firmware.elf in ``stage``: not the app, but the program that finds the arena of the model in
    ``stage``/generated.
    """
    (stage / "linker.ld").write_text(linker_script(board))
    compile_image(board, compiler_of(board), image_sources(board, "tflm", program="probe"), stage, tflm)
    keep_image(stage, stage)
