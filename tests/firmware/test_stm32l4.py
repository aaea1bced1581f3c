"""The stm32l4 port: compiled for the chip, and run on the host over simulated registers."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tinyflow.board import load_board

ROOT = Path(__file__).resolve().parents[2]
PORT = ROOT / "firmware/port/stm32l4"
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Werror"]
# RM0432, independent of registers.h
RCC_CR, RCC_CFGR, RCC_PLLCFGR, FLASH_ACR = 0x40021000, 0x40021008, 0x4002100C, 0x40022000
RCC_AHB2ENR, RCC_APB1ENR1, RCC_APB1ENR2, RCC_CCIPR = 0x4002104C, 0x40021058, 0x4002105C, 0x40021088
PWR_CR2, PWR_CR5 = 0x40007004, 0x40007080
GPIOG_MODER, GPIOG_AFRL, GPIOG_AFRH = 0x48001800, 0x48001820, 0x48001824
LPUART1_CR1, LPUART1_BRR, LPUART1_TDR = 0x40008000, 0x4000800C, 0x40008028
DEMCR, DWT_CTRL = 0xE000EDFC, 0xE0001000


def board_defines() -> list[str]:
    board = load_board("nucleo-l4r5zi")
    return [f"-D{key}={value}" for key, value in board.defines.items()] + [f"-DCLOCK_HZ={board.clock_hz}", f"-DCONSOLE_BAUD={board.console.baud}"]


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    compiler = shutil.which("cc") or pytest.skip("no host C compiler: apt-get install gcc")
    binary = tmp_path_factory.mktemp("stm32l4") / "port"
    sources = [PORT / "port.c", Path(__file__).parent / "stm32l4_simulated.c"]
    subprocess.run(
        [compiler, *WARNINGS, "-O1", *board_defines(), "-DSTM32L4_SIMULATED_REGISTERS", f"-I{PORT.parent}", *sources, "-o", binary], check=True
    )
    return binary


def start(program: Path, dead: str = "") -> tuple[list[tuple[int, int]], str, int]:
    """Register writes in order, the other lines, the exit status. Ends or fails the test: nothing may hang."""
    result = subprocess.run([program, dead], capture_output=True, text=True, timeout=20)
    writes = [(int(a, 16), int(v, 16)) for a, v in re.findall(r"^write (\w+) (\w+)$", result.stdout, re.M)]
    return writes, "\n".join(line for line in result.stdout.splitlines() if not line.startswith("write")), result.returncode


def first(writes: list[tuple[int, int]], address: int, mask: int, value: int) -> int:
    """Index of the first write to ``address`` whose bits under ``mask`` are ``value``."""
    return next(i for i, (a, v) in enumerate(writes) if a == address and v & mask == value)


def test_clock_sequence(program):
    writes, text, status = start(program)
    assert status == 0 and "read ab" in text and "counts 1" in text and "warning -" in text
    boost = first(writes, PWR_CR5, 1 << 8, 0)
    wait_states = first(writes, FLASH_ACR, 0xF, 5)
    pll_set = first(writes, RCC_PLLCFGR, 3, 2)
    pll_on = first(writes, RCC_CR, 1 << 24, 1 << 24)
    halved = first(writes, RCC_CFGR, 0xF0, 0x80)
    switch = first(writes, RCC_CFGR, 3, 3)
    power = first(writes, RCC_APB1ENR1, 1 << 28, 1 << 28)
    assert power < boost < wait_states < pll_set < pll_on < halved < switch
    assert writes[switch][1] & 0xF0 == 0x80  # still halved while switching
    whole = next(i for i in range(switch + 1, len(writes)) if writes[i][0] == RCC_CFGR)
    assert writes[whole][1] & 0xF3 == 0x03
    assert [value for address, value in writes if address == FLASH_ACR][-1] & 0x70F == 0x705  # caches and prefetch on


def test_pll_makes_the_boards_clock(program):
    writes, _, _ = start(program)
    value = writes[first(writes, RCC_PLLCFGR, 3, 2)][1]
    m, n, r = (value >> 4 & 15) + 1, value >> 8 & 127, 2 * ((value >> 25 & 3) + 1)
    reference, vco = 16e6 / m, 16e6 / m * n
    assert 2.66e6 <= reference <= 16e6 and 64e6 <= vco <= 344e6 and value >> 24 & 1  # DS12023: PLL input, VCO; PLLREN
    assert vco / r == load_board("nucleo-l4r5zi").clock_hz == 120e6


def test_console_is_up_before_the_clock_changes(program):
    writes, _, _ = start(program)
    iosv = first(writes, PWR_CR2, 1 << 9, 1 << 9)
    assert first(writes, RCC_APB1ENR1, 1 << 28, 1 << 28) < iosv
    pins = first(writes, GPIOG_MODER, 0xF << 14, 0xA << 14)
    assert max(iosv, first(writes, RCC_AHB2ENR, 1 << 6, 1 << 6)) < first(writes, GPIOG_AFRL, 0xF << 28, 8 << 28) < pins
    assert first(writes, GPIOG_AFRH, 0xF, 8) < pins
    assert writes[pins][1] | 0xF << 14 == 0xFFFFFFFF  # other pins untouched
    source = first(writes, RCC_CCIPR, 3 << 10, 2 << 10)
    clock = first(writes, RCC_APB1ENR2, 1, 1)
    baud = first(writes, LPUART1_BRR, 0, 0)
    enabled = first(writes, LPUART1_CR1, 1, 1)
    assert source < clock < baud < enabled < first(writes, RCC_CFGR, 3, 3)
    divisor = writes[baud][1]
    assert 0x300 <= divisor <= 0xFFFFF
    assert abs(256 * 16e6 / divisor / 115200 - 1) < 1e-4
    assert writes[enabled][1] == 1 << 29 | 1 << 3 | 1 << 2 | 1
    assert bytes(v for a, v in writes if a == LPUART1_TDR) == b"ok"


def test_counter_is_enabled(program):
    writes, _, _ = start(program)
    assert first(writes, DEMCR, 1 << 24, 1 << 24) < first(writes, DWT_CTRL, 1, 1)


@pytest.mark.parametrize(
    "dead, reason",
    [
        ("hsi16", "HSI16 does not start"),
        ("uart", "LPUART1 does not start"),
        ("regulator", "the regulator does not reach range 1"),
        ("pll", "the PLL does not lock"),
        ("switch", "the system clock does not switch to the PLL"),
        ("send", "LPUART1 does not send"),
    ],
)
def test_a_peripheral_that_never_answers_ends_in_port_fail(program, dead, reason):
    _, text, status = start(program, dead)
    assert status == 3 and text.startswith(f"fail {reason}")


def test_failed_wait_states_warn_and_stay_slow(program):
    writes, text, status = start(program, "flash")
    assert status == 0 and "warning FLASH_ACR does not read back its wait states: the clock stays at 16 MHz" in text
    assert all(v & 3 != 3 for a, v in writes if a == RCC_CFGR) and first(writes, RCC_CFGR, 3, 1)
    assert "read ab" in text  # the console works on


def test_dead_counter_and_overrun_warn(program):
    _, text, status = start(program, "dwt")
    assert status == 0 and "warning DWT_CYCCNT does not count" in text and "counts 0" in text
    writes, text, status = start(program, "overrun")
    assert status == 0 and "read ab" in text and "warning LPUART1 lost input" in text
    assert first(writes, 0x40008020, 8, 8)  # ORE cleared, or the receiver stays blocked


def test_wrong_clock_or_chip_does_not_compile(tmp_path):
    compiler = shutil.which("cc") or pytest.skip("no host C compiler: apt-get install gcc")

    def compile_with(*defines: str) -> str:
        command = [compiler, *WARNINGS, *defines, "-DSTM32L4_SIMULATED_REGISTERS", f"-I{PORT.parent}", "-c", PORT / "port.c", "-o", tmp_path / "port.o"]
        return subprocess.run(command, capture_output=True, text=True).stderr

    assert compile_with(*board_defines()) == ""
    assert "board.yaml's clock_hz is not what this port sets" in compile_with("-DSTM32L4R5=1", "-DCLOCK_HZ=80000000")
    assert "cannot make this baud rate" in compile_with("-DSTM32L4R5=1", "-DCONSOLE_BAUD=9000000")
    assert "does not know this chip" in compile_with("-DCLOCK_HZ=120000000")


def test_compiles_clean_for_the_chip(tmp_path):
    compiler = shutil.which("arm-none-eabi-gcc") or pytest.skip("arm-none-eabi-gcc is missing: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi")
    flags = load_board("nucleo-l4r5zi").cpu_flags
    subprocess.run([compiler, *WARNINGS, *flags, "-Os", *board_defines(), f"-I{PORT.parent}", "-c", PORT / "port.c", "-o", tmp_path / "port.o"], check=True)
    symbols = subprocess.run(["arm-none-eabi-nm", tmp_path / "port.o"], capture_output=True, text=True, check=True).stdout
    defined = set(re.findall(r" T (\w+)", symbols))
    assert defined == {"port_init", "port_read", "port_write", "port_ticks", "port_warning"}
    assert set(re.findall(r" U (\w+)", symbols)) == {"port_fail"}  # no library, no division
