"""The DFSDM microphone driver: its own C on the host over simulated registers, and compiled for the chip."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tinyflow.board import load_board

ROOT = Path(__file__).resolve().parents[2]
PORT = ROOT / "firmware/port"
BOARD = load_board("b-l475e-iot01a")
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", *(f"-D{key}={value}" for key, value in BOARD.defines.items())]
RING, GUARD, GAIN = 4096, 64, 8
# RM0351, independent of the driver
RCC_AHB1ENR, RCC_AHB2ENR, RCC_APB2ENR = 0x40021048, 0x4002104C, 0x40021060
GPIOE_MODER, GPIOE_AFRL, GPIOE_AFRH = 0x48001000, 0x48001020, 0x48001024
CH0CFGR1, CH2CFGR1, CH2CFGR2, FLT0CR1, FLT0FCR = 0x40016000, 0x40016040, 0x40016044, 0x40016100, 0x40016114
DMA_IFCR, DMA_CCR4, DMA_CNDTR4, DMA_CPAR4 = 0x40020004, 0x40020044, 0x40020048, 0x4002004C
SYST_CSR, SYST_RVR, ICSR, NVIC_ISER0, NVIC_ICER0, NVIC_ICPR0 = (
    0xE000E010,
    0xE000E014,
    0xE000ED04,
    0xE000E100,
    0xE000E180,
    0xE000E280,
)


def include(folder: Path, rate: int = 16000) -> list[str]:
    (folder / "frontend_config.h").write_text(f"#define FRONTEND_SAMPLE_RATE {rate}\n#define FRONTEND_HOP 320\n")
    return [f"-I{path}" for path in (folder, PORT, PORT / "cortexm", PORT / "stm32l4", ROOT / "firmware/microphone")]


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    compiler = shutil.which("cc") or pytest.skip("no host C compiler: apt-get install gcc")
    folder = tmp_path_factory.mktemp("dfsdm")
    source = Path(__file__).parent / "dfsdm_simulated.c"
    sanitize = ["-fsanitize=undefined", "-fno-sanitize-recover=all", "-Wno-pointer-to-int-cast"]
    subprocess.run(
        [compiler, *FLAGS, *sanitize, "-O1", "-DSIMULATED_REGISTERS", *include(folder), source, "-o", folder / "dfsdm"],
        check=True,
    )
    return folder / "dfsdm"


def tell(program: Path, *commands: str, dead: str = "") -> list[str]:
    result = subprocess.run(
        [program, dead], input="\n".join(commands), capture_output=True, text=True, timeout=20, check=True
    )
    return result.stdout.splitlines()


def writes(lines: list[str]) -> list[tuple[int, int]]:
    return [(int(a, 16), int(v, 16)) for a, v in (line.split()[1:] for line in lines if line.startswith("write"))]


def first(found: list[tuple[int, int]], address: int, mask: int, value: int) -> int:
    return next(i for i, (a, v) in enumerate(found) if a == address and v & mask == value)


def samples(lines: list[str]) -> list[int]:
    return [int(word) for line in lines if line.startswith("samples") for word in line.split()[1:]]


def lost(lines: list[str]) -> tuple[int, int]:
    """Lost, and carried by the DMA in all, as last told."""
    return tuple(map(int, re.findall(r"^lost (\d+) of (\d+)$", "\n".join(lines), re.M)[-1]))


def begin(lines: list[str]) -> int:
    return next(int(line.split()[1]) for line in lines if line.startswith("begin"))


def raw(index: int) -> int:
    return index * 7919 % 4001 - 2000 + 300


def towards_zero(value: int, divisor: int) -> int:
    return abs(value) // divisor * (1 if value >= 0 else -1)


def expected(lines: list[str], gaps: dict[int, int], count: int) -> list[int]:
    """What the driver makes of samples that were given: the offset away, louder. gaps: samples lost before the one of
    that number.
    """
    offset, index, out = 16 * sum(raw(i) for i in range(256, 512)), begin(lines), []
    for number in range(count):
        index += gaps.get(number, 0)
        centred = raw(index) * 4096 - offset
        offset += towards_zero(centred, 512)
        out.append(max(-32768, min(32767, towards_zero(centred, 4096 // GAIN))))
        index += 1
    return out


def test_order_of_the_registers_and_16_khz(program):
    found = writes(tell(program))
    divider = (found[first(found, CH0CFGR1, 1 << 31, 1 << 31)][1] >> 16 & 255) + 1
    fcr = found[first(found, FLT0FCR, 0, 0)][1]
    oversampling, order, average = (fcr >> 16 & 1023) + 1, fcr >> 29, (fcr & 255) + 1
    ckout = BOARD.clock_hz / divider
    assert 1e6 <= ckout <= 3.25e6 and ckout / oversampling / average == 16000  # MP34DT01; exactly
    assert order == 4 and oversampling**order < 2**31
    # the register holds 24 bits
    assert oversampling**order / 2 ** (found[first(found, CH2CFGR2, 0, 0)][1] >> 3 & 31) < 2**23
    # pins, then the interface (divider while it is off), the channel, the filter's shape, the DMA, the filter, its
    # start
    pins = first(found, GPIOE_MODER, 3 << 14, 2 << 14)
    assert (
        first(found, RCC_AHB2ENR, 1 << 4, 1 << 4)
        < first(found, GPIOE_AFRH, 0xF0, 0x60)
        < first(found, GPIOE_MODER, 3 << 18, 2 << 18)
    )
    assert first(found, GPIOE_AFRL, 15 << 28, 6 << 28) < pins < first(found, RCC_APB2ENR, 1 << 24, 1 << 24)
    divided, on = (
        first(found, CH0CFGR1, 0xFF << 16 | 1 << 31, (divider - 1) << 16),
        first(found, CH0CFGR1, 1 << 31, 1 << 31),
    )
    channel = first(found, CH2CFGR1, 1 << 7 | 15, 1 << 7 | 4)
    shape, carry = first(found, FLT0FCR, 0, 0), first(found, DMA_CCR4, 1, 1)
    enabled, started = first(found, FLT0CR1, 1, 1), first(found, FLT0CR1, 1 << 17, 1 << 17)
    assert first(found, FLT0CR1, 1 << 29 | 1 << 21 | 1, 1 << 29 | 1 << 21) < enabled  # FAST and RDMAEN, while it is off
    assert (
        first(found, RCC_APB2ENR, 1 << 24, 1 << 24)
        < divided
        < on
        < first(found, CH2CFGR2, 0, 0)
        < channel
        < shape
        < carry
        < enabled
        < started
    )
    # the upper half of FLT0RDATAR
    assert first(found, RCC_AHB1ENR, 1, 1) < first(found, DMA_CPAR4, ~0, 0x4001611E) < carry
    assert first(found, DMA_CNDTR4, ~0, RING) < carry
    # 16 bits, circular, half and whole
    assert found[carry][1] & 0x4FFF == 1 << 10 | 1 << 8 | 1 << 7 | 1 << 5 | 1 << 2 | 1 << 1 | 1
    # channel 2, fast, by DMA, for ever
    assert found[started][1] & 0x272C0001 == 2 << 24 | 1 << 29 | 1 << 21 | 1 << 18 | 1


def test_samples_come_once_and_in_order_round_the_ring(program):
    commands = [line for i in range(40) for line in (f"pass {100 + 37 * i % 400}", f"read {1 + 613 * i % 500}")]
    lines = tell(program, *commands, "read 4000")
    given = samples(lines)
    assert len(given) > 2 * RING and lost(lines)[0] == 0
    assert given == expected(lines, {}, len(given)) and begin(lines) + len(given) == lost(lines)[1]


@pytest.mark.parametrize(
    "late", [RING - GUARD - 1, RING - 10, RING + 5, RING + RING // 2 + 100, 5 * RING + 17, 800_000]
)
def test_what_nobody_read_in_time_is_counted_exactly_and_the_newest_stay(program, late):
    lines = tell(program, "pass 1000", "read 600", f"pass {late}", "read 5000", "pass 100", "read 5000")
    given, (gone, carried) = samples(lines), lost(lines)
    assert begin(lines) + len(given) + gone == carried  # every sample was given, or is counted
    assert gone == carried - begin(lines) - 600 - (RING - GUARD) - len(given[600 + RING - GUARD :])
    assert given == expected(lines, {600: gone}, len(given))


def test_sleeps_a_hop_at_a_time_and_wakes_without_a_handler(program):
    lines = tell(program, "read 4000", *["wait 0", "read 4000"] * 30)
    slept = [int(line.split()[1]) for line in lines if line.startswith("sleep")]
    assert len(slept) == 30 and max(slept) == 320  # the DMA's half rings come between
    given = samples(lines)
    assert lost(lines)[0] == 0 and given == expected(lines, {}, len(given)) and len(given) >= sum(slept)
    one = "\n".join(lines).partition("hold 1\n")[2].partition("hold 0")[0]
    before, after = (writes(part.splitlines()) for part in one.split("sleep 320"))
    assert before.index((SYST_RVR, 320 * 5000 - 1)) < before.index((SYST_CSR, 7))
    assert before.index((NVIC_ICPR0, 1 << 14)) < before.index((NVIC_ISER0, 1 << 14))
    assert after.index((NVIC_ICER0, 1 << 14)) < after.index((DMA_IFCR, 15 << 12)) < after.index((NVIC_ICPR0, 1 << 14))
    assert after.index((SYST_CSR, 0)) < after.index((ICSR, 1 << 25))


def test_does_not_sleep_while_samples_wait(program):
    assert not any(line.startswith(("sleep", "hold")) for line in tell(program, "pass 10", "wait 0"))


def test_leaves_systick_to_a_port_that_counts_with_it(program):
    lines = tell(program, "read 4000", "wait 0", "read 4000", dead="dwt")
    assert not {address for address, _ in writes(lines)} & {SYST_CSR, SYST_RVR, ICSR}
    assert "sleep" in "\n".join(lines) and lost(lines)[0] == 0


def test_a_dead_interface_is_told(program):
    assert "start DFSDM1 gives no samples: CNDTR4 of DMA1 stands still" in tell(program, dead="dfsdm")


def test_compiles_clean_for_the_chip_and_for_no_other_rate_or_chip(tmp_path):
    compiler = shutil.which("arm-none-eabi-gcc") or pytest.skip(
        "arm-none-eabi-gcc is missing: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"
    )

    def compile_with(flags: list[str], rate: int) -> str:
        command = [
            compiler,
            *BOARD.core.flags,
            *flags,
            "-Os",
            *include(tmp_path, rate),
            "-c",
            ROOT / "firmware/microphone/dfsdm.c",
            "-o",
            tmp_path / "dfsdm.o",
        ]
        return subprocess.run(command, capture_output=True, text=True).stderr

    assert compile_with(FLAGS, 16000) == ""
    symbols = subprocess.run(
        ["arm-none-eabi-nm", tmp_path / "dfsdm.o"], capture_output=True, text=True, check=True
    ).stdout
    assert set(re.findall(r" T (\w+)", symbols)) == {
        "microphone_start",
        "microphone_read",
        "microphone_wait",
        "microphone_lost",
    }
    assert set(re.findall(r" U (\w+)", symbols)) == {"port_ticks"}
    assert "dfsdm.c records at 16 kHz" in compile_with(FLAGS, 8000)
    assert "knows the STM32L475 only" in compile_with(["-std=c99", "-DSTM32L4R5=1"], 16000)
