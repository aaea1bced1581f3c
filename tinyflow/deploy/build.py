"""Stage build: a compiled model becomes firmware for a board.

In the folder: firmware.elf, firmware.map, firmware.json, compile_commands.json, linker.ld (Cortex-M), generated/ (all C
that is not in firmware/). Equal inputs give an equal ELF, byte for byte, wherever it is built.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tinyflow.artefacts import atomic_folder, sha256
from tinyflow.board import Board
from tinyflow.compile.artefact import CompiledModel
from tinyflow.compile.frontend_fixed import FIXED
from tinyflow.compile.hostlib import host_compiler
from tinyflow.deploy.artefact import Firmware, load_firmware
from tinyflow.deploy.detector import can_listen, write_constants
from tinyflow.deploy.image.linker import does_not_fit, linker_script, overflows
from tinyflow.deploy.image.selftest_source import load_clips, write_clips
from tinyflow.deploy.image.sizes import measure
from tinyflow.errors import TinyflowError
from tinyflow.progress import Progress, silent
from tinyflow.recipe import Listen

if TYPE_CHECKING:
    from tinyflow.deploy.tflm.library import Tflm

FIRMWARE_SOURCES = Path(__file__).resolve().parent.parent.parent / "firmware"
CROSS_COMPILER = "arm-none-eabi-gcc"
Runtime = Literal["aot", "tflm"]


def build(
    compiled: CompiledModel,
    board: Board,
    out: Path,
    progress: Progress = silent,
    clips: int | None = None,
    runtime: Runtime = "aot",
    listen: Listen = Listen(),
    tflm: "Tflm | None" = None,
) -> Firmware:
    """Firmware of ``compiled`` for ``board`` in the folder ``out``, which is replaced whole or left alone.

    clips: self-test clips to embed (None: all that compile stored; 0: none). runtime: the C of compile (aot), or TFLM's
    interpreter around the library in TFLM_ROOT (tflm, docs/tflm.md). listen: what the firmware's recogniser does
    unasked. Errors: no compiler, cmake or ninja (`make setup`); what the compiler says; an image that does not fit,
    with by how much and what is largest.
    """
    out = Path(out).resolve()
    if any(character in str(out) for character in '";\\'):
        raise TinyflowError(
            f"CMake cannot work in a path with quotes, semicolons or backslashes: {out}",
            "rename the model's file, or give another --runs",
        )
    compiler = _compiler(board)
    version = compiler_version(board)
    progress(f"build {board.name}", 0, 3, "generating")
    with atomic_folder(out) as stage:
        found = load_clips(compiled, clips, fixed=not board.fpu)
        generated = stage / "generated"
        _generate(compiled, board, found, generated, runtime)
        operators, arena_bytes = (), compiled.arena_bytes
        if runtime == "tflm":
            from tinyflow.deploy.tflm.arena import arena_need
            from tinyflow.deploy.tflm.library import find_tflm
            from tinyflow.deploy.tflm.source import write_source

            tflm = tflm or find_tflm(board)
            arena_bytes = arena_need(compiled, board, tflm, progress)
            operators = write_source(compiled, tflm, arena_bytes, generated)
        if can_listen(compiled):
            write_constants(compiled, listen, generated)
        if board.compiler != "host":
            (stage / "linker.ld").write_text(linker_script(board))
        build_id = _build_id(board, stage, version)
        _write_config(
            compiled, board, 0 if found is None else len(found["clips"]), build_id, generated / "app_config.h"
        )
        progress(f"build {board.name}", 1, 3, "compiling")
        _compile(board, compiler, _settings(compiled, board), stage, tflm)
        progress(f"build {board.name}", 2, 3, "measuring")
        flags = _flags(stage)
        _finish(stage, out)
        sizes = measure(stage / "firmware.elf")
        Firmware(
            folder=stage,
            board=board.name,
            build_id=build_id,
            compiled=str(compiled.folder),
            compiler=version,
            flags=flags,
            flash_bytes=sizes.flash_bytes,
            # The sanitizers of a host build pad every object, so there the plan's figure stands.
            model_bytes=sizes.model_bytes if sizes.model_bytes and board.compiler != "host" else compiled.model_bytes,
            ram_bytes=sizes.ram_bytes,
            arena_bytes=arena_bytes,
            stack_reserved_bytes=0 if board.compiler == "host" else board.stack_bytes,
            clips=0 if found is None else len(found["clips"]),
            sections={section.name: section.bytes for section in sizes.sections},
            runtime=runtime,
            operators=operators,
            library="" if tflm is None else str(tflm),
            elf_sha256=sha256(stage / "firmware.elf"),
        ).write()
    progress(f"build {board.name}", 3, 3, f"{sizes.flash_bytes:,} B flash, {sizes.ram_bytes:,} B RAM")
    return load_firmware(out)


def compile_probe(board: Board, tflm: "Tflm", stage: Path) -> None:
    """firmware.elf in ``stage``: not the app, but the program that finds the arena of the model in
    ``stage``/generated.
    """
    (stage / "linker.ld").write_text(linker_script(board))
    _compile(board, _compiler(board), {}, stage, tflm, "probe")
    _finish(stage, stage)


def _compiler(board: Board) -> list[str]:
    if board.compiler == "host":
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
    return subprocess.run([*_compiler(board), "--version"], capture_output=True, text=True).stdout.partition("\n")[0]


def _tool(name: str) -> str:
    """cmake or ninja: the wheel beside this Python first, else from the path."""
    beside = Path(sys.executable).parent / name
    path = str(beside) if beside.is_file() else shutil.which(name)
    if path is None:
        raise TinyflowError(f"{name} is not installed", "run `make setup` (or: pip install 'tinyflow[deploy]')")
    return path


def _frontend(compiled: CompiledModel, board: Board) -> str:
    """The folder of the front end's sources: in floats, or in integers for a core without FPU."""
    return "" if compiled.frontend is None else "frontend" if board.fpu else "frontend_fixed"


def _generate(compiled: CompiledModel, board: Board, found: dict | None, generated: Path, runtime: Runtime) -> None:
    tables = {
        "": [],
        "frontend": ["frontend_config.h", "frontend_tables.c"],
        "frontend_fixed": ["frontend_config.h", f"{FIXED}/frontend_fixed_config.h", f"{FIXED}/frontend_fixed_tables.c"],
    }
    generated.mkdir()
    network = ["model.c", "model_config.h"] if runtime == "aot" else []
    for name in [*network, *tables[_frontend(compiled, board)]]:
        path = compiled.c / name
        if not path.is_file():
            raise TinyflowError(f"{path} does not exist", "run `tinyflow compile` again")
        shutil.copyfile(path, generated / path.name)
    if found is not None:
        write_clips(found, generated)


def _build_id(board: Board, stage: Path, compiler_version: str) -> str:
    """A hash of all that goes into the image: sources, generated C, linker script, board and compiler."""
    digest = hashlib.sha256()
    values = asdict(board)
    del values["folder"]  # where it lies on this machine
    digest.update(json.dumps([values, compiler_version], sort_keys=True).encode())
    # what CMakeLists.txt takes
    folders = [
        FIRMWARE_SOURCES / name
        for name in (
            "app",
            "kernels",
            "frontend",
            "frontend_fixed",
            "listen",
            "microphone",
            "model",
            "port/cortexm",
            f"port/{board.port}",
        )
    ]
    files = [FIRMWARE_SOURCES / name for name in ("CMakeLists.txt", "toolchain.cmake", "port/port.h")]
    files += [path for folder in folders for path in folder.glob("*.[ch]")]
    files += (FIRMWARE_SOURCES / "model" / "tflm").iterdir()
    named = [(path.relative_to(FIRMWARE_SOURCES).as_posix(), path) for path in files]
    named += [("microphone", path) for path in [_microphone(board)] if path]
    named += [(path.relative_to(stage).as_posix(), path) for path in stage.rglob("*") if path.is_file()]
    for name, path in sorted(named):
        digest.update(f"{name}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _write_config(compiled: CompiledModel, board: Board, clips: int, build_id: str, path: Path) -> None:
    def quoted(text: str) -> str:
        return '"' + "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "?" for c in text)[:64] + '"'

    values = {
        "APP_BUILD_ID": quoted(build_id),
        "APP_BOARD": quoted(board.name),
        "APP_MODEL": quoted(compiled.name),
        "COUNTER_NAME": quoted(board.counter.name),
        "COUNTER_WIDTH_BITS": board.counter.width_bits,
        "COUNTER_HZ": f"{board.counter.frequency_hz}u",
        "TINYFLOW_FRONTEND": int(compiled.frontend is not None),
        "TINYFLOW_LISTEN": int(can_listen(compiled)),
        "TINYFLOW_MICROPHONE": int(can_listen(compiled) and bool(board.microphone)),
        "SELFTEST_CLIPS": clips,
    }
    lines = "".join(f"#define {key} {value}\n" for key, value in values.items())
    path.write_text(
        "/* SPDX-License-Identifier: Apache-2.0 */\n#ifndef TINYFLOW_APP_CONFIG_H\n#define"
        f" TINYFLOW_APP_CONFIG_H\n\n{lines}\n#endif\n"
    )


def _settings(compiled: CompiledModel, board: Board) -> dict[str, Any]:
    return {
        "TINYFLOW_FRONTEND": _frontend(compiled, board),
        "TINYFLOW_LISTEN": int(can_listen(compiled)),
        "TINYFLOW_MICROPHONE": _microphone(board) or "",
    }


def _microphone(board: Board) -> Path | None:
    """The source of the driver that board.yaml names: in the board's own folder, or in firmware/microphone."""
    if not board.microphone:
        return None
    for folder in (Path(board.folder), FIRMWARE_SOURCES / "microphone"):
        if (folder / f"{board.microphone}.c").is_file():
            return folder / f"{board.microphone}.c"
    known = ", ".join(sorted(path.stem for path in (FIRMWARE_SOURCES / "microphone").glob("*.c")))
    raise TinyflowError(
        f"board {board.name}: no microphone driver {board.microphone!r}",
        f"firmware/microphone has {known}; or put {board.microphone}.c into {board.folder}",
    )


def _compile(
    board: Board,
    compiler: list[str],
    settings: dict[str, Any],
    stage: Path,
    tflm: "Tflm | None" = None,
    program: str = "model",
) -> None:
    """settings: of CMakeLists.txt, about the model. program: of firmware/model/tflm, where ``tflm`` is given."""
    defines = {**board.defines, "CONSOLE_BAUD": board.console.baud, "CLOCK_HZ": board.clock_hz}
    settings = {
        **settings,
        "CMAKE_MAKE_PROGRAM": _tool("ninja"),
        "TINYFLOW_PORT": board.port,
        "TINYFLOW_GENERATED": stage / "generated",
        "TINYFLOW_DEFINES": ";".join(f"{key}={value}" for key, value in defines.items()),
    }
    if tflm:
        settings |= {
            "TINYFLOW_TFLM": program,
            "TINYFLOW_TFLM_ROOT": tflm.root,
            "TINYFLOW_TFLM_LIBRARY": tflm.library,
            "TINYFLOW_TFLM_INCLUDES": ";".join(map(str, tflm.includes)),
            "TINYFLOW_TFLM_DEFINES": ";".join(tflm.defines),
        }
    if board.compiler == "host":
        settings |= {
            "CMAKE_C_COMPILER": shutil.which(compiler[0]),
            "CMAKE_C_FLAGS": shlex.join(compiler[1:]),
            "TINYFLOW_LINKER_SCRIPT": "",
        }
    else:
        settings |= {
            "CMAKE_TOOLCHAIN_FILE": FIRMWARE_SOURCES / "toolchain.cmake",
            "TINYFLOW_CPU_FLAGS": shlex.join(board.cpu_flags),
            "TINYFLOW_LINKER_SCRIPT": stage / "linker.ld",
        }
    build = stage / "cmake"
    arguments = [f"-D{key}={value}" for key, value in settings.items()]
    status, output = _run([_tool("cmake"), "-G", "Ninja", "-S", str(FIRMWARE_SOURCES), "-B", str(build), *arguments])
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


def _flags(stage: Path) -> str:
    """The options that model.c (or, around TFLM, model.cc) was compiled with: every one that can change the code."""
    commands = json.loads((stage / "cmake" / "compile_commands.json").read_text())
    command = next(entry["command"] for entry in commands if Path(entry["file"]).stem == "model")
    options = [word for word in shlex.split(command)[1:] if re.match(r"-(m|O|f|std)", word)]
    return " ".join(dict.fromkeys(word for word in options if not word.startswith("-ffile-prefix-map")))


def _finish(stage: Path, out: Path) -> None:
    """Keeps the image, its map and the compile commands (as from the final place), drops the rest."""
    build = stage / "cmake"
    commands = (build / "compile_commands.json").read_text()
    (stage / "compile_commands.json").write_text(commands.replace(str(stage), str(out)))
    for name in ("firmware.elf", "firmware.map"):
        if (build / name).is_file():
            os.replace(build / name, stage / name)
    shutil.rmtree(build)
