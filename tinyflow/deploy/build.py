"""Stage build: a compiled model becomes firmware for a board.

In the folder: firmware.elf, firmware.map, firmware.json, compile_commands.json, linker.ld (Cortex-M), generated/ (all C
that is not in firmware/). Equal inputs give an equal ELF, byte for byte, wherever it is built.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tinyflow.artefacts import atomic_folder, fingerprint, sha256
from tinyflow.board import Board
from tinyflow.compile.artefact import CompiledModel, Layer
from tinyflow.deploy.artefact import Firmware, Runtime, load_firmware
from tinyflow.deploy.detector import can_listen, write_constants
from tinyflow.deploy.image.linker import linker_script
from tinyflow.deploy.image.selftest_source import load_clips, write_clips
from tinyflow.deploy.image.sizes import measure
from tinyflow.deploy.image.sources import ImageSources, image_sources
from tinyflow.deploy.toolchain import SCRIPT, compile_image, compiler_version
from tinyflow.errors import TinyflowError
from tinyflow.frontend.host import FIXED
from tinyflow.progress import Progress, silent
from tinyflow.recipe import Listen

if TYPE_CHECKING:
    from tinyflow.deploy.tflm.library import Tflm


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
    unasked. Errors: no compiler (`make setup`); what the compiler says; an image that does not fit,
    with by how much and what is largest.
    """
    out = Path(out).resolve()
    version = compiler_version(board)
    progress(f"build {board.name}", 0, 3, "generating")
    with atomic_folder(out) as stage:
        found = load_clips(compiled, clips, fixed=not board.core.fpu)
        generated = stage / "generated"
        _generate(compiled, board, found, generated, runtime)
        operators: tuple[Layer, ...] = ()
        arena_bytes = compiled.arena_bytes
        if runtime == "tflm":
            from tinyflow.deploy.tflm.arena import arena_need
            from tinyflow.deploy.tflm.library import find_tflm
            from tinyflow.deploy.tflm.source import write_source

            tflm = tflm or find_tflm(board)
            arena_bytes = arena_need(compiled, board, tflm, progress)
            operators = write_source(compiled, tflm, arena_bytes, generated)
        if can_listen(compiled):
            write_constants(compiled, listen, generated)
        if board.core.compiler != "host":
            (stage / SCRIPT).write_text(linker_script(board))
        sources = image_sources(
            board, runtime, compiled.frontend.kind if compiled.frontend else "", can_listen(compiled)
        )
        build_id = _build_id(board, sources, stage, version)
        _write_config(
            compiled, board, 0 if found is None else len(found["clips"]), build_id, generated / "app_config.h"
        )
        progress(f"build {board.name}", 1, 3, "compiling")
        flags = compile_image(board, sources, stage, out, tflm)
        progress(f"build {board.name}", 2, 3, "measuring")
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
            model_bytes=sizes.model_bytes
            if sizes.model_bytes and board.core.compiler != "host"
            else compiled.model_bytes,
            ram_bytes=sizes.ram_bytes,
            arena_bytes=arena_bytes,
            stack_reserved_bytes=0 if board.core.compiler == "host" else board.stack_bytes,
            clips=0 if found is None else len(found["clips"]),
            sections={section.name: section.bytes for section in sizes.elf_sections},
            runtime=runtime,
            operators=operators,
            library="" if tflm is None else str(tflm),
            elf_sha256=sha256(stage / "firmware.elf"),
        ).write()
    progress(f"build {board.name}", 3, 3, f"{sizes.flash_bytes:,} B flash, {sizes.ram_bytes:,} B RAM")
    return load_firmware(out)


def _generate(compiled: CompiledModel, board: Board, found: dict | None, generated: Path, runtime: Runtime) -> None:
    network = ["model.c", "model_config.h"] if runtime == "aot" else []
    fixed = [f"{FIXED}/frontend_fixed_config.h", f"{FIXED}/frontend_fixed_tables.c"]
    tables = ["frontend_config.h", *(["frontend_tables.c"] if board.core.fpu else fixed)] if compiled.frontend else []
    generated.mkdir()
    for name in [*network, *tables]:
        path = compiled.c / name
        if not path.is_file():
            raise TinyflowError(f"{path} does not exist", "run `tinyflow compile` again")
        shutil.copyfile(path, generated / path.name)
    if found is not None:
        write_clips(found, generated)


def _build_id(board: Board, sources: ImageSources, stage: Path, compiler_version: str) -> str:
    """A hash of all that goes into the image: sources, generated C, linker script, board and compiler."""
    generated = {path.relative_to(stage).as_posix(): sha256(path) for path in stage.rglob("*") if path.is_file()}
    return fingerprint([board.facts(), compiler_version, sources.hashes(board), generated])[:16]


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
