"""The nrf52 port: its C on the host over simulated registers and DMA, and the linked image."""

import re
import subprocess

import pytest
from ported import (
    build_for,
    check_image,
    check_object_for_the_chip,
    check_whole_app,
    compile_errors,
    defines,
    first,
    simulate,
    start,
)

from tinyflow.board import load_board

BOARD = load_board("nrf52840dk")
# nRF52840 product specification, independent of registers.h
HFCLKSTART, HFCLKSTARTED, APPROTECT_DISABLE, ICACHECNF = 0x40000000, 0x40000100, 0x40000558, 0x4001E540
OUTSET, PIN_CNF = 0x50000508, 0x50000700
UARTE0 = 0x40002000
STARTRX, STARTTX, ENDRX, ENDTX, SHORTS, ENABLE = (
    UARTE0 + offset for offset in (0x000, 0x008, 0x110, 0x120, 0x200, 0x500)
)
PSEL_RTS, PSEL_TXD, PSEL_CTS, PSEL_RXD, BAUDRATE, CONFIG = (
    UARTE0 + offset for offset in (0x508, 0x50C, 0x510, 0x514, 0x524, 0x56C)
)
RXD_PTR, RXD_MAXCNT, TXD_PTR, TXD_MAXCNT = (UARTE0 + offset for offset in (0x534, 0x538, 0x544, 0x548))
DEMCR, DWT_CTRL = 0xE000EDFC, 0xE0001000


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return simulate(BOARD, tmp_path_factory.mktemp("nrf52"))


@pytest.fixture(scope="module")
def firmware(tmp_path_factory):
    return build_for(BOARD, tmp_path_factory.mktemp("dk"))


def test_console_is_up_before_the_crystal(program):
    writes, text, status = start(program)
    assert status == 0 and "read ab" in text and "counts 1" in text and "warning -" in text and "sent o\nsent k" in text
    enabled = first(writes, ENABLE, 15, 8)
    # idle high, then an output
    assert first(writes, OUTSET, 1 << 6, 1 << 6) < first(writes, PIN_CNF + 4 * 6, 3, 3) < enabled
    assert first(writes, PIN_CNF + 4 * 8, 0xF, 0xC) < enabled  # input, connected, pulled up
    settings = dict(writes[:enabled])
    assert (settings[PSEL_TXD], settings[PSEL_RXD], settings[BAUDRATE], settings[CONFIG]) == (6, 8, 0x01D60000, 0)
    assert PSEL_RTS not in settings and PSEL_CTS not in settings and SHORTS not in {address for address, _ in writes}
    assert first(writes, STARTRX, 1, 1) < first(writes, HFCLKSTARTED, 1, 0) < first(writes, HFCLKSTART, 1, 1)
    assert first(writes, ICACHECNF, 1, 1)


def test_every_byte_is_a_transfer_of_its_own(program):
    writes, _, _ = start(program)
    assert [value for address, value in writes if address == RXD_MAXCNT] == [1]
    order = [address for address, _ in writes if address in (ENDRX, STARTRX)]
    # at start-up and after each of the two bytes: the event is down before the task
    assert order == [ENDRX, STARTRX] * 3
    pointers = {value for address, value in writes if address in (RXD_PTR, TXD_PTR)}
    assert len(pointers) == 2 and len([1 for address, _ in writes if address in (RXD_PTR, TXD_PTR)]) == 2  # set once
    sends = [(address, value) for address, value in writes if address in (TXD_MAXCNT, ENDTX, STARTTX)]
    assert sends == [(TXD_MAXCNT, 2), (ENDTX, 0), (STARTTX, 1)]


def test_counter_is_enabled(program):
    writes, _, _ = start(program)
    assert first(writes, DEMCR, 1 << 24, 1 << 24) < first(writes, DWT_CTRL, 1, 1)


def test_the_debug_port_stays_as_uicr_says(program):
    writes, _, _ = start(program)
    assert writes[0] == (APPROTECT_DISABLE, 0x5A)


@pytest.mark.parametrize("dead, reason", [("uart", "UARTE0 does not start"), ("send", "UARTE0 does not send")])
def test_a_peripheral_that_never_answers_ends_in_port_fail(program, dead, reason):
    _, text, status = start(program, dead)
    assert status == 3 and f"fail {reason}" in text


@pytest.mark.parametrize(
    "dead, said",
    [
        ("crystal", "HFXO does not start: the clock stays on the internal oscillator"),
        ("dwt", "DWT_CYCCNT does not count: cycle counts mean nothing"),
        ("overrun", "UARTE0 lost input: a byte came before the last was read (OVERRUN)"),
        ("noise", "-"),  # the line's CRC finds it
    ],
)
def test_what_is_bearable_warns(program, dead, said):
    writes, text, status = start(program, dead)
    assert status == 0 and f"warning {said}" in text and "read ab" in text
    if dead in ("overrun", "noise"):
        assert (UARTE0 + 0x480, 1 if dead == "overrun" else 4) in writes and (UARTE0 + 0x124, 0) in writes


def test_wrong_clock_baud_rate_or_chip_does_not_compile(tmp_path):
    assert compile_errors(BOARD, tmp_path, *defines(BOARD)) == ""
    assert compile_errors(BOARD, tmp_path, "-DNRF52840=1", "-DCONSOLE_BAUD=1000000") == ""
    assert "board.yaml's clock_hz is not this chip's" in compile_errors(
        BOARD, tmp_path, "-DNRF52840=1", "-DCLOCK_HZ=128000000"
    )
    assert "knows the baud rates 115200 and 1000000" in compile_errors(
        BOARD, tmp_path, "-DNRF52840=1", "-DCONSOLE_BAUD=9600"
    )
    assert "does not know this chip" in compile_errors(BOARD, tmp_path, "-DCLOCK_HZ=64000000")


def test_compiles_clean_for_the_chip(tmp_path):
    check_object_for_the_chip(BOARD, tmp_path)


def test_the_image_lies_in_its_memory_and_dma_in_ram(firmware):
    assert (BOARD.region("FLASH").origin, BOARD.region("FLASH").length) == (0, 2**20)
    assert (BOARD.region("RAM").origin, BOARD.region("RAM").length) == (0x20000000, 256 * 2**10)
    check_image(firmware, BOARD)
    listing = subprocess.run(["arm-none-eabi-nm", firmware.elf], capture_output=True, text=True, check=True).stdout
    for buffer in ("sent", "received"):
        assert 0x20000000 <= int(re.search(rf"^(\w+) \w {buffer}$", listing, re.M)[1], 16) < 0x20040000


def test_the_whole_app_speaks_through_uarte0(firmware, tmp_path):
    check_whole_app(firmware, BOARD, tmp_path)
