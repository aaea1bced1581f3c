"""The nucleo-l4r5zi's image: linked at its real addresses, and started on an emulated STM32 with the same memory map.

QEMU has no STM32L4; netduinoplus2 (STM32F405) has a Cortex-M4F, flash at 0x08000000 and SRAM at 0x20000000. Where the
L4's clock control lies it answers 0 to everything: the oscillator never becomes ready, and start-up must end in port_fail.
"""

import json
import re
import shutil
import struct
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from keyword_model import keyword_model

from tinyflow.board import load_board
from tinyflow.compile.artefact import load_compiled
from tinyflow.deploy.build import build

BOARD = load_board("nucleo-l4r5zi")


@pytest.fixture(scope="module")
def firmware(tmp_path_factory):
    if not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is missing: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi")
    folder = tmp_path_factory.mktemp("nucleo")
    return build(keyword_model(folder / "compile"), BOARD, folder / "build")


def symbols(firmware) -> dict[str, tuple[int, int]]:
    """Name -> (address, size)."""
    listing = subprocess.run(["arm-none-eabi-nm", "-S", firmware.elf], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^(\w+) (?:(\w+) )?\w (\w+)$", listing, re.M)
    return {name: (int(address, 16), int(size or "0", 16)) for address, size, name in found}


def test_vector_table_is_first_and_everything_lies_in_its_memory(firmware):
    from elftools.elf.elffile import ELFFile

    with open(firmware.elf, "rb") as file:
        elf = ELFFile(file)
        vectors = elf.get_section_by_name(".vectors")
        assert vectors["sh_addr"] == 0x08000000
        stack, reset = struct.unpack("<II", vectors.data()[:8])
        segments = [segment for segment in elf.iter_segments("PT_LOAD")]
    known = symbols(firmware)
    assert stack == known["__stack_top"][0] and known["__stack_top"][0] - known["__stack_bottom"][0] == BOARD.stack_bytes
    assert reset == known["cortexm_reset"][0] | 1  # Thumb
    for segment in segments:
        start, end = segment["p_vaddr"], segment["p_vaddr"] + segment["p_memsz"]
        assert 0x08000000 <= start <= end <= 0x08200000 or 0x20000000 <= start <= end <= 0x200A0000
        if segment["p_filesz"]:  # what OpenOCD writes
            assert 0x08000000 <= segment["p_paddr"] and segment["p_paddr"] + segment["p_filesz"] <= 0x08200000
    assert firmware.flash_bytes < 2 * 2**20 and firmware.ram_bytes < 640 * 1024


def test_the_fpu_is_on_before_any_float(firmware):
    address, next_function = symbols(firmware)["cortexm_reset"][0], symbols(firmware)["cortexm_start"][0]
    code = subprocess.run(
        ["arm-none-eabi-objdump", "-d", f"--start-address={address}", f"--stop-address={next_function}", firmware.elf],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    instructions = [match[1] for match in re.finditer(r"^ [ \w]+:\t[\w ]+\t(\S+)", code, re.M)]
    start = instructions.index("str")  # to CPACR
    assert "e000ed88" in code and "isb" in instructions[start:] and not any(name.startswith("v") for name in instructions)


def test_no_library_beyond_memory_and_strings(firmware):
    forbidden = re.compile(r"printf|malloc|calloc|^_|^(exp|log|pow|sin|cos|sqrt)f?$")
    assert not [name for name in symbols(firmware) if forbidden.search(name) and not name.startswith("__")]


@pytest.mark.qemu
def test_starts_at_its_real_addresses_and_ends_in_the_fault_reporter(firmware):
    known = symbols(firmware)
    command = ["qemu-system-arm", "-machine", "netduinoplus2", "-kernel", str(firmware.elf), "-display", "none", "-serial", "null", "-qmp", "stdio"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as emulator:

        def ask(execute: str, **arguments) -> str:
            emulator.stdin.write(json.dumps({"execute": execute, "arguments": arguments}) + "\n")
            emulator.stdin.flush()
            while True:
                answer = json.loads(emulator.stdout.readline())
                if "return" in answer:
                    return answer["return"]

        def monitor(line: str) -> str:
            return ask("human-monitor-command", **{"command-line": line})

        def program_counter() -> int:
            return int(re.search(r"R15=(\w+)", monitor("info registers"))[1], 16)

        def word(address: int) -> int:
            return int(monitor(f"xp/1wx {address:#x}").split()[-1], 16)

        def stopped(address: int) -> bool:
            return any(known[name][0] & ~1 <= address < (known[name][0] & ~1) + known[name][1] for name in ("port_fail", "port_exit"))

        try:
            ask("qmp_capabilities")
            deadline = time.monotonic() + 20
            while not stopped(program_counter()):
                assert time.monotonic() < deadline, f"start-up hangs at {program_counter():#x}"
                time.sleep(0.05)
            assert word(0xE000ED08) == 0x08000000  # VTOR: the image's own table
            assert word(0xE000ED88) == 0x00F00000  # CPACR: the FPU is on
            assert word(known["__stack_bottom"][0]) == 0xC5C5C5C5  # painted
            start, end = known["__data_start"][0], known["__data_end"][0]
            assert all(word(start + i) == word(known["__data_load"][0] + i) for i in range(0, end - start, 4))
        finally:
            emulator.kill()


def test_the_whole_app_speaks_through_lpuart1(firmware, tmp_path):
    """The image's sources with the stm32l4 port on simulated registers: every byte passes LPUART1_ISR, RDR and TDR."""
    compiler = shutil.which("cc") or pytest.skip("no host C compiler: apt-get install gcc")
    from tinyflow.compile.oracle import invoke
    from tinyflow.deploy.device import Device
    from tinyflow.deploy.places.process import ProcessTransport

    root = Path(__file__).resolve().parents[2] / "firmware"
    sources = [path for name in ("app", "kernels", "frontend", "listen", "port/stm32l4") for path in sorted((root / name).glob("*.c"))]
    sources += [*sorted((firmware.folder / "generated").glob("*.c")), Path(__file__).parent / "stm32l4_console.c"]
    include = [firmware.folder / "generated", *(root / name for name in ("app", "kernels", "frontend", "listen", "model", "port", "port/stm32l4", "port/cortexm"))]
    defines = ["-DSTM32L4R5=1", "-DSTM32L4_SIMULATED_REGISTERS", "-D_POSIX_C_SOURCE=200809L"]
    command = [compiler, "-std=c99", "-O1", "-ffp-contract=off", *defines, *(f"-I{path}" for path in include), *sources, "-o", tmp_path / "app", "-lm"]  # fmaf, an instruction on the chip
    subprocess.run(command, check=True)
    compiled = load_compiled(firmware.compiled)
    rows = np.random.default_rng(0).integers(-128, 128, (3, compiled.input.elements)).astype(np.int8)
    with Device(BOARD, ProcessTransport("simulated nucleo", [str(tmp_path / "app")]), 30.0) as device:
        said = device.hello()
        assert said["build"] == firmware.build_id and said["board"] == BOARD.name and said["counter"] == "dwt" and not said.get("warning")
        answers = device.infer(rows)
    assert np.array_equal(answers, invoke(compiled.tflite, rows.reshape(-1, *compiled.input.shape[1:])).reshape(answers.shape))
