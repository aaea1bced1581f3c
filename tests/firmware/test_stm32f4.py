"""The stm32f4 port: its C on the host over simulated registers, the linked image, and the image
under QEMU's STM32F405.
"""

import time

import numpy as np
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

BOARD = load_board("stm32f4_discovery")
# RM0090, independent of registers.h
RCC_CR, RCC_PLLCFGR, RCC_CFGR, RCC_AHB1ENR, RCC_APB1ENR = 0x40023800, 0x40023804, 0x40023808, 0x40023830, 0x40023840
FLASH_ACR, PWR_CR = 0x40023C00, 0x40007000
GPIOA_MODER, GPIOA_PUPDR, GPIOA_AFRL = 0x40020000, 0x4002000C, 0x40020020
USART2_DR, USART2_BRR, USART2_CR1 = 0x40004404, 0x40004408, 0x4000440C
DEMCR, DWT_CTRL = 0xE000EDFC, 0xE0001000
PLL, HSI = 2, 0  # SW of RCC_CFGR


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return simulate(BOARD, tmp_path_factory.mktemp("stm32f4"))


@pytest.fixture(scope="module")
def firmware(tmp_path_factory):
    return build_for(BOARD, tmp_path_factory.mktemp("discovery"))


def test_clock_sequence(program):
    writes, text, status = start(program)
    assert status == 0 and "read ab" in text and "counts 1" in text and "warning -" in text
    power = first(writes, RCC_APB1ENR, 1 << 28, 1 << 28)
    stopped = first(writes, RCC_CR, 1 << 24, 0)
    scale = first(writes, PWR_CR, 1 << 14, 1 << 14)
    wait_states = first(writes, FLASH_ACR, 7, 5)
    pll_set = first(writes, RCC_PLLCFGR, 0, 0)
    pll_on = first(writes, RCC_CR, 1 << 24, 1 << 24)
    # before the switch: APB1 takes 42 MHz
    divided = first(writes, RCC_CFGR, 7 << 10 | 7 << 13 | 3, 5 << 10 | 4 << 13 | HSI)
    switch = first(writes, RCC_CFGR, 3, PLL)
    assert power < scale and stopped < scale < wait_states < pll_set < pll_on < divided < switch
    assert writes[switch][1] == 5 << 10 | 4 << 13 | PLL  # HPRE 1, APB1 a quarter, APB2 a half
    assert [value for address, value in writes if address == FLASH_ACR][-1] & 0x707 == 0x705  # caches and prefetch on
    assert all(value >> 24 & 1 == 0 for address, value in writes[: writes.index(writes[scale])] if address == RCC_CR)


def test_pll_makes_the_boards_clock(program):
    writes, _, _ = start(program)
    value = writes[first(writes, RCC_PLLCFGR, 0, 0)][1]
    m, n, p, q = value & 63, value >> 6 & 511, 2 * ((value >> 16 & 3) + 1), value >> 24 & 15
    reference, vco = 16e6 / m, 16e6 / m * n
    assert value >> 22 & 1 == 0  # HSI
    assert 1e6 <= reference <= 2e6 and 50 <= n <= 432 and 100e6 <= vco <= 432e6 and 2 <= q <= 15  # RM0090, RCC_PLLCFGR
    assert vco / p == BOARD.clock_hz == 168e6 and vco / q <= 48e6
    apb1 = writes[first(writes, RCC_CFGR, 3, PLL)][1] >> 10 & 7
    assert vco / p / 2 ** (apb1 - 3) <= 42e6


def test_console_is_up_before_the_clock_changes_and_follows_it(program):
    writes, text, _ = start(program)
    pins = first(writes, GPIOA_MODER, 0xF << 4, 0xA << 4)
    assert first(writes, RCC_AHB1ENR, 1, 1) < first(writes, GPIOA_AFRL, 0xFF << 8, 0x77 << 8) < pins
    assert first(writes, GPIOA_PUPDR, 3 << 6, 1 << 6) < pins
    assert writes[pins][1] == 0xA80000A0  # the debug port's pins untouched
    enabled = first(writes, USART2_CR1, 1 << 13, 1 << 13)
    switch = first(writes, RCC_CFGR, 3, PLL)
    assert first(writes, RCC_APB1ENR, 1 << 17, 1 << 17) < first(writes, USART2_BRR, 0, 0) < enabled < switch
    assert writes[enabled][1] == 1 << 13 | 1 << 3 | 1 << 2
    (slow_at, slow), (fast_at, fast) = [
        (i, value) for i, (address, value) in enumerate(writes) if address == USART2_BRR
    ]
    assert slow_at < switch < fast_at
    assert abs(16e6 / slow / 115200 - 1) < 2e-3 and abs(42e6 / fast / 115200 - 1) < 2e-3
    assert "sent o\nsent k" in text and all(
        i > fast_at for i, (address, _) in enumerate(writes) if address == USART2_DR
    )


def test_counter_is_enabled(program):
    writes, _, _ = start(program)
    assert first(writes, DEMCR, 1 << 24, 1 << 24) < first(writes, DWT_CTRL, 1, 1)


@pytest.mark.parametrize(
    "dead, reason",
    [
        ("uart", "USART2 does not start"),
        ("pll stays", "the PLL does not stop"),
        ("pll", "the PLL does not lock"),
        ("regulator", "the regulator does not reach scale 1"),
        ("switch", "the system clock does not switch to the PLL"),
        ("send", "USART2 does not send"),
    ],
)
def test_a_peripheral_that_never_answers_ends_in_port_fail(program, dead, reason):
    writes, text, status = start(program, dead)
    assert status == 3 and f"fail {reason}" in text
    if dead == "switch":  # said at HSI's baud rate, with APB1 undivided
        assert writes[-2] == (RCC_CFGR, 0) and [value for address, value in writes if address == USART2_BRR] == [139]


@pytest.mark.parametrize(
    "dead, said",
    [
        ("hsi", "HSI does not answer (HSIRDY of RCC_CR, SWS of RCC_CFGR): the clock stays as it is after reset"),
        ("flash", "FLASH_ACR does not read back its wait states: the clock stays at 16 MHz"),
    ],
)
def test_what_is_bearable_warns_and_stays_slow(program, dead, said):
    writes, text, status = start(program, dead)
    assert status == 0 and f"warning {said}" in text and "read ab" in text  # the console works on
    assert all(v & 3 == HSI for a, v in writes if a == RCC_CFGR) and all(
        v >> 24 & 1 == 0 for a, v in writes if a == RCC_CR
    )
    assert [value for address, value in writes if address == USART2_BRR] == [139]


def test_dead_counter_overrun_and_noise(program):
    _, text, status = start(program, "dwt")
    assert status == 0 and "warning DWT_CYCCNT does not count" in text and "counts 0" in text
    _, text, status = start(program, "overrun")
    assert status == 0 and "read ab" in text and "warning USART2 lost input" in text
    _, text, status = start(program, "noise")
    assert status == 0 and "read ab" in text and "warning -" in text  # the line's CRC finds it


def test_revision_a_has_no_prefetch(program):
    writes, text, _ = start(program, "revision a")
    assert "warning -" in text and [value for address, value in writes if address == FLASH_ACR][-1] & 0x707 == 0x605


def test_wrong_clock_or_chip_does_not_compile(tmp_path):
    assert compile_errors(BOARD, tmp_path, *defines(BOARD)) == ""
    assert "board.yaml's clock_hz is not what this port sets" in compile_errors(
        BOARD, tmp_path, "-DSTM32F407=1", "-DCLOCK_HZ=100000000"
    )
    assert "cannot make this baud rate" in compile_errors(BOARD, tmp_path, "-DSTM32F407=1", "-DCONSOLE_BAUD=2000000")
    assert "does not know this chip" in compile_errors(BOARD, tmp_path, "-DCLOCK_HZ=168000000")


def test_compiles_clean_for_the_chip(tmp_path):
    check_object_for_the_chip(BOARD, tmp_path)


def test_the_image_lies_in_flash_and_in_contiguous_ram(firmware):
    assert (BOARD.region("FLASH").origin, BOARD.region("FLASH").length) == (0x08000000, 2**20)
    assert (BOARD.region("RAM").origin, BOARD.region("RAM").length) == (0x20000000, 128 * 2**10)  # the CCM is not in it
    check_image(firmware, BOARD)


def test_the_whole_app_speaks_through_usart2(firmware, tmp_path):
    check_whole_app(firmware, BOARD, tmp_path)


@pytest.mark.qemu
@pytest.mark.parametrize("machine", ["netduinoplus2", "olimex-stm32-h405"])
def test_the_image_runs_under_qemu(firmware, machine):
    """QEMU's STM32F405 has USART2 and the memories; its clock control never says ready, and it has no DWT."""
    from tinyflow.compile.artefact import load_compiled
    from tinyflow.deploy.device import Device
    from tinyflow.deploy.places.place import choose_place
    from tinyflow.deploy.places.process import ProcessTransport
    from tinyflow.reference.oracle import invoke

    command = [
        "qemu-system-arm",
        "-M",
        machine,
        "-nodefaults",
        "-display",
        "none",
        "-monitor",
        "none",
        "-chardev",
        "stdio,id=console,signal=off",
    ]
    command += ["-serial", "null", "-serial", "chardev:console", "-kernel", str(firmware.elf)]
    compiled = load_compiled(firmware.compiled)
    rows = np.random.default_rng(1).integers(-128, 128, (3, compiled.input.elements)).astype(np.int8)
    transport = ProcessTransport(f"QEMU ({machine})", command)
    with Device(choose_place(BOARD, "serial"), transport, 30.0) as device:
        heard, deadline = b"", time.monotonic() + 20
        while b'"ready"' not in heard:  # what comes before USART2 is enabled is lost, on the chip as well
            assert time.monotonic() < deadline, heard
            heard += transport.read(1.0)
        said = device.hello()
        assert said["build"] == firmware.build_id and said["warning"].startswith("HSI does not answer")
        answers = device.infer(rows)
    assert np.array_equal(
        answers, invoke(compiled.tflite, rows.reshape(-1, *compiled.input.shape[1:])).reshape(answers.shape)
    )
