"""What the tests of ports of real chips share: the port's C on the host over simulated registers,
and the linked image.
"""

import re
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tinyflow.board import Board

ROOT = Path(__file__).resolve().parents[2]
PORTS = ROOT / "firmware/port"
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Werror"]
Writes = list[tuple[int, int]]


def defines(board: Board) -> list[str]:
    return [f"-D{key}={value}" for key, value in board.defines.items()] + [
        f"-DCLOCK_HZ={board.clock_hz}",
        f"-DCONSOLE_BAUD={board.console.baud}",
    ]


def _host_compiler() -> str:
    return shutil.which("cc") or pytest.skip("no host C compiler: apt-get install gcc")


def simulate(board: Board, folder: Path) -> Path:
    """The port alone, with the main of simulated.h. Not at a random address: its DMA has 32-bit pointers."""
    sources = [PORTS / board.port / "port.c", Path(__file__).parent / f"{board.port}_simulated.c"]
    include = [PORTS, PORTS / "cortexm"]
    command = [
        _host_compiler(),
        *WARNINGS,
        "-O1",
        "-no-pie",
        "-fno-pie",
        "-D_POSIX_C_SOURCE=200809L",
        *defines(board),
        "-DSIMULATED_REGISTERS",
        *(f"-I{path}" for path in include),
    ]
    subprocess.run([*command, *sources, "-o", folder / "port"], check=True)
    return folder / "port"


def start(program: Path, dead: str = "") -> tuple[Writes, str, int]:
    """Register writes in order, the other lines, the exit status. Ends or fails the test: nothing may hang."""
    result = subprocess.run([program, dead], capture_output=True, text=True, timeout=20)
    writes = [(int(a, 16), int(v, 16)) for a, v in re.findall(r"^write (\w+) (\w+)$", result.stdout, re.M)]
    return (
        writes,
        "\n".join(line for line in result.stdout.splitlines() if not line.startswith("write")),
        result.returncode,
    )


def first(writes: Writes, address: int, mask: int, value: int) -> int:
    """Index of the first write to ``address`` whose bits under ``mask`` are ``value``."""
    return next(i for i, (a, v) in enumerate(writes) if a == address and v & mask == value)


def compile_errors(board: Board, folder: Path, *flags: str) -> str:
    include = [PORTS, PORTS / "cortexm"]
    command = [
        _host_compiler(),
        *WARNINGS,
        *flags,
        "-DSIMULATED_REGISTERS",
        *(f"-I{path}" for path in include),
        "-c",
        PORTS / board.port / "port.c",
    ]
    return subprocess.run([*command, "-o", folder / "port.o"], capture_output=True, text=True).stderr


def check_object_for_the_chip(board: Board, folder: Path, *more: str) -> None:
    """It compiles without a warning, defines the five functions of a port (and ``more``), and needs no library and no
    division.
    """
    compiler = shutil.which("arm-none-eabi-gcc") or pytest.skip(
        "arm-none-eabi-gcc is missing: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"
    )
    include = [f"-I{PORTS}", f"-I{PORTS / 'cortexm'}"]
    subprocess.run(
        [
            compiler,
            *WARNINGS,
            *board.core.flags,
            "-Os",
            *defines(board),
            *include,
            "-c",
            PORTS / board.port / "port.c",
            "-o",
            folder / "port.o",
        ],
        check=True,
    )
    symbols = subprocess.run(["arm-none-eabi-nm", folder / "port.o"], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r" T (\w+)", symbols)) == {
        "port_init",
        "port_read",
        "port_write",
        "port_ticks",
        "port_warning",
        *more,
    }
    assert set(re.findall(r" U (\w+)", symbols)) == {"port_fail"}


def build_for(board: Board, folder: Path):
    from keyword_model import keyword_model

    from tinyflow.deploy.build import build

    if not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is missing: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi")
    return build(keyword_model(folder / "compile"), board, folder / "build")


def check_image(firmware, board: Board) -> None:
    """The vector table is first, everything lies in its memory, and what is programmed lies in flash."""
    from elftools.elf.elffile import ELFFile

    flash, ram = (
        range(region.origin, region.origin + region.length + 1)
        for region in (board.region("FLASH"), board.region("RAM"))
    )
    with open(firmware.elf, "rb") as file:
        elf = ELFFile(file)
        vectors = elf.get_section_by_name(".vectors")
        stack, reset = struct.unpack("<II", vectors.data()[:8])
        symbols = {symbol.name: symbol["st_value"] for symbol in elf.get_section_by_name(".symtab").iter_symbols()}
        segments = list(elf.iter_segments("PT_LOAD"))
    assert vectors["sh_addr"] == flash.start
    assert stack == symbols["__stack_top"] and symbols["__stack_top"] - symbols["__stack_bottom"] == board.stack_bytes
    assert reset & 1 and reset == symbols["cortexm_reset"] | 1  # Thumb
    for segment in segments:
        ends = segment["p_vaddr"], segment["p_vaddr"] + segment["p_memsz"]
        assert all(end in flash for end in ends) or all(end in ram for end in ends)
        assert not segment["p_filesz"] or (
            segment["p_paddr"] in flash and segment["p_paddr"] + segment["p_filesz"] in flash
        )
    assert firmware.flash_bytes < len(flash) and firmware.ram_bytes < len(ram)


def check_whole_app(firmware, board: Board, folder: Path) -> None:
    """The image's sources on the host: every byte of the console passes the port and the simulated UART."""
    from tinyflow.compile.artefact import load_compiled
    from tinyflow.deploy.device import Device
    from tinyflow.deploy.image.sources import image_sources
    from tinyflow.deploy.places.place import choose_place
    from tinyflow.deploy.places.process import ProcessTransport
    from tinyflow.reference.oracle import invoke

    compiled = load_compiled(firmware.compiled)
    generated = firmware.folder / "generated"
    image = image_sources(board, "aot", compiled.frontend.kind, listens=True)
    sources = [path for path in image.files if path.suffix == ".c" and path.parent.name != "cortexm"]
    sources += [*sorted(generated.glob("*.c")), Path(__file__).parent / f"{board.port}_simulated.c"]
    include = [generated, *image.includes]
    flags = [
        "-std=c99",
        "-O1",
        "-ffp-contract=off",
        "-no-pie",
        "-fno-pie",
        *defines(board),
        "-DSIMULATED_REGISTERS",
        "-DWHOLE_APP",
        "-D_POSIX_C_SOURCE=200809L",
    ]
    # fmaf, an instruction on the chip
    subprocess.run(
        [_host_compiler(), *flags, *(f"-I{path}" for path in include), *sources, "-o", folder / "app", "-lm"],
        check=True,
    )
    rows = np.random.default_rng(0).integers(-128, 128, (3, compiled.input.elements)).astype(np.int8)
    with Device(
        choose_place(board, "serial"), ProcessTransport(f"simulated {board.name}", [str(folder / "app")]), 30.0
    ) as device:
        said = device.hello()
        assert (
            said["build"] == firmware.build_id
            and said["board"] == board.name
            and said["counter"] == "dwt"
            and not said.get("warning")
        )
        answers = device.infer(rows)
    assert np.array_equal(
        answers, invoke(compiled.tflite, rows.reshape(-1, *compiled.input.shape[1:])).reshape(answers.shape)
    )
