"""The stm32l4 port, for both its chips: compiled for the chip, and run on the host over simulated registers."""

from dataclasses import dataclass
from pathlib import Path

import ported
import pytest
from ported import Writes, check_object_for_the_chip, compile_errors, defines, first

from tinyflow.board import Board, load_board

# RM0432 and RM0351, independent of registers.h
RCC_CR, RCC_CFGR, RCC_PLLCFGR, FLASH_ACR = 0x40021000, 0x40021008, 0x4002100C, 0x40022000
RCC_AHB2ENR, RCC_APB1ENR1, RCC_APB1ENR2, RCC_APB2ENR, RCC_CCIPR = (
    0x4002104C,
    0x40021058,
    0x4002105C,
    0x40021060,
    0x40021088,
)
PWR_CR1, PWR_CR2, PWR_CR5 = 0x40007000, 0x40007004, 0x40007080
DEMCR, DWT_CTRL, SYST_CSR, SYST_RVR = 0xE000EDFC, 0xE0001000, 0xE000E010, 0xE000E014


@dataclass(frozen=True)
class Chip:
    board: Board
    uart_name: str
    uart: int  # base address
    uart_clock: tuple[int, int]  # RCC register, bit
    uart_source: int  # shift in RCC_CCIPR
    baud_factor: int
    uart_enabled: int  # CR1
    port_bit: int  # of RCC_AHB2ENR
    moder: int  # address of the pins' GPIO port
    pins: tuple[int, int]
    function: int
    clock_hz: float
    wait_states: int


NUCLEO = Chip(
    load_board("nucleo-l4r5zi"),
    "LPUART1",
    0x40008000,
    (RCC_APB1ENR2, 0),
    10,
    256,
    1 << 29 | 0xD,
    6,
    0x48001800,
    (7, 8),
    8,
    120e6,
    5,
)
DISCOVERY = Chip(
    load_board("b-l475e-iot01a"), "USART1", 0x40013800, (RCC_APB2ENR, 14), 0, 1, 0xD, 1, 0x48000400, (6, 7), 7, 80e6, 4
)
CHIPS = pytest.mark.parametrize("chip", [NUCLEO, DISCOVERY], ids=lambda chip: chip.board.name)


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> dict[str, Path]:
    return {
        chip.board.name: ported.simulate(chip.board, tmp_path_factory.mktemp(chip.board.name))
        for chip in (NUCLEO, DISCOVERY)
    }


@pytest.fixture
def start(programs):
    def run(chip: Chip, dead: str = "") -> tuple[Writes, str, int]:
        return ported.start(programs[chip.board.name], dead)

    return run


@CHIPS
def test_clock_sequence(start, chip):
    writes, text, status = start(chip)
    assert status == 0 and "read ab" in text and "counts 1 by dwt" in text and "warning -" in text
    range_1 = first(writes, PWR_CR1, 3 << 9, 1 << 9)
    wait_states = first(writes, FLASH_ACR, 0xF, chip.wait_states)
    pll_set = first(writes, RCC_PLLCFGR, 3, 2)
    pll_on = first(writes, RCC_CR, 1 << 24, 1 << 24)
    switch = first(writes, RCC_CFGR, 3, 3)
    power = first(writes, RCC_APB1ENR1, 1 << 28, 1 << 28)
    assert power < range_1 < wait_states < pll_set < pll_on < switch
    assert [value for address, value in writes if address == FLASH_ACR][
        -1
    ] & 0x70F == 0x700 | chip.wait_states  # caches and prefetch on
    assert writes[-1][0] != RCC_CFGR and [value for address, value in writes if address == RCC_CFGR][-1] & 0xF3 == 0x03


def test_boost_and_a_halved_bus_only_where_the_chip_has_boost(start):
    writes, _, _ = start(NUCLEO)
    boost, halved, switch = (
        first(writes, PWR_CR5, 1 << 8, 0),
        first(writes, RCC_CFGR, 0xF0, 0x80),
        first(writes, RCC_CFGR, 3, 3),
    )
    # still halved while switching
    assert boost < first(writes, FLASH_ACR, 0xF, 5) < halved < switch and writes[switch][1] & 0xF0 == 0x80
    whole = next(i for i in range(switch + 1, len(writes)) if writes[i][0] == RCC_CFGR)
    assert writes[whole][1] & 0xF3 == 0x03
    writes, _, _ = start(DISCOVERY)
    assert PWR_CR5 not in {address for address, _ in writes} and all(
        not value & 0xF0 for address, value in writes if address == RCC_CFGR
    )


@CHIPS
def test_pll_makes_the_boards_clock(start, chip):
    writes, _, _ = start(chip)
    value = writes[first(writes, RCC_PLLCFGR, 3, 2)][1]
    m, n, r = (value >> 4 & 15) + 1, value >> 8 & 127, 2 * ((value >> 25 & 3) + 1)
    reference, vco = 16e6 / m, 16e6 / m * n
    assert 4e6 <= reference <= 16e6 and 64e6 <= vco <= 344e6 and value >> 24 & 1  # data sheets: PLL input, VCO; PLLREN
    assert vco / r == chip.board.clock_hz == chip.clock_hz


@CHIPS
def test_console_is_up_before_the_clock_changes(start, chip):
    writes, _, _ = start(chip)
    ready = first(writes, RCC_AHB2ENR, 1 << chip.port_bit, 1 << chip.port_bit)
    if chip is NUCLEO:  # port G lies behind VDDIO2
        valid = first(writes, PWR_CR2, 1 << 9, 1 << 9)
        assert first(writes, RCC_APB1ENR1, 1 << 28, 1 << 28) < valid
        ready = max(ready, valid)
    untouched = 0xFFFFFFFF if chip is NUCLEO else 0xFFFFFEBF
    for pin in chip.pins:
        function = first(
            writes, chip.moder + 0x20 + 4 * (pin // 8), 15 << 4 * (pin % 8), chip.function << 4 * (pin % 8)
        )
        pins = first(writes, chip.moder, 3 << 2 * pin, 2 << 2 * pin)
        assert ready < function < pins
        untouched &= ~(1 << 2 * pin)
    assert writes[pins][1] == untouched  # the other pins are as they were
    source = first(writes, RCC_CCIPR, 3 << chip.uart_source, 2 << chip.uart_source)
    clock = first(writes, chip.uart_clock[0], 1 << chip.uart_clock[1], 1 << chip.uart_clock[1])
    baud = first(writes, chip.uart + 0x0C, 0, 0)
    enabled = first(writes, chip.uart, 1, 1)
    assert source < clock < baud < enabled < first(writes, RCC_CFGR, 3, 3)
    divisor = writes[baud][1]
    assert (0x300 <= divisor <= 0xFFFFF) if chip is NUCLEO else 16 <= divisor <= 0xFFFF
    # LPUART1 divides finer
    assert abs(chip.baud_factor * 16e6 / divisor / 115200 - 1) < (1e-4 if chip is NUCLEO else 1e-3)
    assert writes[enabled][1] == chip.uart_enabled
    assert bytes(v for a, v in writes if a == chip.uart + 0x28) == b"ok"


@CHIPS
def test_dwt_counts_and_systick_stays_off(start, chip):
    writes, _, _ = start(chip)
    assert first(writes, DEMCR, 1 << 24, 1 << 24) < first(writes, DWT_CTRL, 1, 1)
    assert SYST_CSR not in {address for address, _ in writes}


@CHIPS
def test_systick_counts_where_dwt_does_not_and_its_wraps_are_counted(start, chip):
    """5000 counts of 2^20 ticks: SysTick's 24 bits wrap 312 times, at 0 itself, the counter's 32 once."""
    writes, text, status = start(chip, "dwt")
    assert status == 0 and "counts 1 by systick" in text and "warning -" in text
    assert first(writes, SYST_RVR, ~0, 0xFFFFFF) < first(writes, SYST_CSR, 7, 7)  # the core's clock, with its exception
    periods = [value + 1 for address, value in writes if address == SYST_RVR]
    # shorter only while the host is waited for
    assert periods[0] == periods[-1] == 1 << 24 and max(periods[1::2]) < 10_000


@CHIPS
@pytest.mark.parametrize(
    "dead, reason",
    [
        ("hsi16", "HSI16 does not start"),
        ("uart", "{} does not start: TEACK and REACK of {}_ISR stay 0"),
        ("regulator", "the regulator does not reach range 1"),
        ("pll", "the PLL does not lock"),
        ("switch", "the system clock does not switch to the PLL"),
        ("send", "{} does not send: TXE of {}_ISR stays 0"),
    ],
)
def test_a_peripheral_that_never_answers_ends_in_port_fail(start, chip, dead, reason):
    _, text, status = start(chip, dead)
    assert status == 3 and f"fail {reason.format(chip.uart_name, chip.uart_name)}" in text


@CHIPS
def test_failed_wait_states_warn_and_stay_slow(start, chip):
    writes, text, status = start(chip, "flash")
    assert status == 0 and "warning FLASH_ACR does not read back its wait states: the clock stays at 16 MHz" in text
    assert all(v & 3 != 3 for a, v in writes if a == RCC_CFGR) and first(writes, RCC_CFGR, 3, 1)
    assert "read ab" in text  # the console works on


@CHIPS
def test_a_flash_interface_that_is_not_there_warns_and_goes_on(start, chip):
    """As under QEMU: every bit reads 0, even those that are 1 at reset."""
    writes, text, status = start(chip, "flash interface")
    assert status == 0 and "warning FLASH_ACR reads 0: an emulator without flash wait states" in text
    assert first(writes, RCC_CFGR, 3, 3)  # as fast as ever


@CHIPS
def test_dead_counters_and_overrun_warn(start, chip):
    _, text, status = start(chip, "counters")
    assert status == 0 and "warning neither DWT_CYCCNT nor SysTick counts" in text and "counts 0" in text
    writes, text, status = start(chip, "overrun")
    assert status == 0 and "read ab" in text and f"warning {chip.uart_name} lost input" in text
    assert first(writes, chip.uart + 0x20, 8, 8)  # ORE cleared, or the receiver stays blocked


def test_wrong_clock_or_chip_does_not_compile(tmp_path):
    for chip, define in ((NUCLEO, "-DSTM32L4R5=1"), (DISCOVERY, "-DSTM32L475=1")):
        assert compile_errors(chip.board, tmp_path, *defines(chip.board)) == ""
        assert "board.yaml's clock_hz is not what this port sets" in compile_errors(
            chip.board, tmp_path, define, "-DCLOCK_HZ=100000000"
        )
        assert "the console's UART cannot make this baud rate" in compile_errors(
            chip.board, tmp_path, define, "-DCONSOLE_BAUD=9000000"
        )
    assert "does not know this chip" in compile_errors(NUCLEO.board, tmp_path, "-DCLOCK_HZ=120000000")


@CHIPS
def test_compiles_clean_for_the_chip(chip, tmp_path):
    check_object_for_the_chip(chip.board, tmp_path, "port_counter", "cortexm_systick")
