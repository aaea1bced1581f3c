"""The nucleo-l4r5zi's image: linked at its real addresses, and started on an emulated STM32 with the same memory map.

QEMU has no STM32L4; netduinoplus2 (STM32F405) has a Cortex-M4F, flash at 0x08000000 and SRAM at 0x20000000. Where the
L4's clock control lies it answers 0 to everything: the oscillator never becomes ready, and start-up must end in
port_fail.
"""

import json
import re
import subprocess
import time

import pytest
from ported import build_for, check_image, check_whole_app

from tinyflow.board import load_board

BOARD = load_board("nucleo-l4r5zi")


@pytest.fixture(scope="module")
def firmware(tmp_path_factory):
    return build_for(BOARD, tmp_path_factory.mktemp("nucleo"))


def symbols(firmware) -> dict[str, tuple[int, int]]:
    """Name -> (address, size)."""
    listing = subprocess.run(
        ["arm-none-eabi-nm", "-S", firmware.elf], capture_output=True, text=True, check=True
    ).stdout
    found = re.findall(r"^(\w+) (?:(\w+) )?\w (\w+)$", listing, re.M)
    return {name: (int(address, 16), int(size or "0", 16)) for address, size, name in found}


def test_the_image_lies_in_its_memory(firmware):
    assert (BOARD.region("FLASH").origin, BOARD.region("FLASH").length) == (0x08000000, 2 * 2**20)
    assert (BOARD.region("RAM").origin, BOARD.region("RAM").length) == (0x20000000, 640 * 2**10)
    check_image(firmware, BOARD)


def test_the_fpu_is_on_before_any_float(firmware):
    address, next_function = symbols(firmware)["cortexm_reset"][0], symbols(firmware)["cortexm_start"][0]
    code = subprocess.run(
        ["arm-none-eabi-objdump", "-d", f"--start-address={address}", f"--stop-address={next_function}", firmware.elf],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    instructions = [match[1] for match in re.finditer(r"^ [ \w]+:\t[\w ]+\t(\S+)", code, re.M)]
    start = instructions.index("str")  # to CPACR
    assert (
        "e000ed88" in code and "isb" in instructions[start:] and not any(name.startswith("v") for name in instructions)
    )


def test_no_library_beyond_memory_and_strings(firmware):
    forbidden = re.compile(r"printf|malloc|calloc|^_|^(exp|log|pow|sin|cos|sqrt)f?$")
    assert not [name for name in symbols(firmware) if forbidden.search(name) and not name.startswith("__")]


@pytest.mark.qemu
def test_starts_at_its_real_addresses_and_ends_in_the_fault_reporter(firmware):
    known = symbols(firmware)
    command = [
        "qemu-system-arm",
        "-machine",
        "netduinoplus2",
        "-kernel",
        str(firmware.elf),
        "-display",
        "none",
        "-serial",
        "null",
        "-qmp",
        "stdio",
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as emulator:

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
            return any(
                known[name][0] & ~1 <= address < (known[name][0] & ~1) + known[name][1]
                for name in ("port_fail", "port_exit")
            )

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
    check_whole_app(firmware, BOARD, tmp_path)
