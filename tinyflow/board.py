"""Board: what boards/<name>/board.yaml says. A board is a folder of data; only a new family needs a port."""

from dataclasses import dataclass, field
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from tinyflow.artefacts import BOARDS
from tinyflow.errors import TinyflowError

FORBID = {"extra": "forbid"}


@dataclass(frozen=True)
class Memory:
    """A region of the linker script, in bytes."""

    __pydantic_config__ = FORBID
    name: Literal["FLASH", "RAM"]
    origin: int
    length: int


@dataclass(frozen=True)
class Counter:
    """What the firmware counts with, and what a tick means."""

    __pydantic_config__ = FORBID
    name: str  # how the port calls it: cmsdk-timer, sse-counter, dwt, systick, host-clock
    unit: Literal["instructions", "cycles", "nanoseconds"]
    width_bits: int  # wraps at 2**width_bits ticks
    frequency_hz: int
    units_per_tick: str = "1"  # a rational number, "5" or "25/3"
    note: str = ""  # the physical reason, shown beside the number

    @property
    def rate(self) -> Fraction:
        return Fraction(self.units_per_tick)


@dataclass(frozen=True)
class Console:
    __pydantic_config__ = FORBID
    name: str  # LPUART1, UART0, stdio
    baud: int = 115200
    device: str = ""  # serial device on this machine; empty: found by the probe's USB id (--port sets it)


class Emulator:
    minimum_version: str

    def takes(self, version: tuple[int, ...]) -> bool:
        """Whether the emulator of this version is new enough for the board."""
        return version >= tuple(map(int, self.minimum_version.split(".")))


@dataclass(frozen=True)
class Qemu(Emulator):
    __pydantic_config__ = FORBID
    machine: str
    icount_shift: int = 3  # 1 instruction = 2**shift ns of virtual time
    arguments: tuple[str, ...] = ()
    minimum_version: str = "7.0"
    counter: Counter | None = None  # where the port counts with another one there than on the board


@dataclass(frozen=True)
class Renode(Emulator):
    __pydantic_config__ = FORBID
    platform: str  # a .repl in the board's folder, or one that Renode brings: "@platforms/boards/..."
    uart: str  # the console's name in it: sysbus.lpuart1
    counter: Counter  # what the firmware's counts mean there: executed instructions
    minimum_version: str = "1.9"


@dataclass(frozen=True)
class Chip:
    """How a debugger tells the chip: the word at ``address``, masked, is one of ``values``."""

    __pydantic_config__ = FORBID
    name: str  # for people: STM32L4Rx or STM32L4Sx
    address: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF


@dataclass(frozen=True)
class OpenOcd:
    __pydantic_config__ = FORBID
    config: str  # file in the board's folder


@dataclass(frozen=True)
class PyOcd:
    __pydantic_config__ = FORBID
    target: str  # pyOCD's name of the chip: stm32l4r5zitx
    pack: str = ""  # where pyOCD itself does not have it: what `pyocd pack install` finds its CMSIS-Pack by
    connect: Literal["halt", "pre-reset", "under-reset"] = "under-reset"  # under-reset wants NRST wired to the probe


@dataclass(frozen=True)
class MassStorage:
    """The probe's drag-and-drop drive."""

    __pydantic_config__ = FORBID
    volume: str  # its label: NODE_L4R5ZI


@dataclass(frozen=True)
class DebugProbe:
    """The debug probe on (or for) the board: how it is told on USB, and the ways to program through it, best first."""

    __pydantic_config__ = FORBID
    usb_ids: tuple[str, ...]  # "0483:374b": probes that belong to this board
    socket: str = "the board's debug USB port"  # where the cable goes, for people: "CN1 on a Nucleo-144"
    chip: Chip | None = None  # what must be connected to it, checked before anything is erased
    openocd: OpenOcd | None = None
    pyocd: PyOcd | None = None
    mass_storage: MassStorage | None = None


@dataclass(frozen=True)
class Estimate:
    """Cycles that an instruction counted under an emulator may take on the real board: ranges, no measurement."""

    __pydantic_config__ = FORBID
    network: tuple[float, float]  # cycles per instruction, least and most
    frontend: tuple[float, float]
    source: str  # where the ranges come from


@dataclass(frozen=True)
class Board:
    __pydantic_config__ = FORBID
    name: str
    title: str
    core: str  # cortex-m4f, cortex-m3, host
    port: str  # firmware/port/<port>
    compiler: Literal["arm-none-eabi-gcc", "host"]
    counter: Counter
    console: Console
    clock_hz: int = 0
    cpu_flags: tuple[str, ...] = ()
    defines: dict[str, str] = field(default_factory=dict)
    fpu: bool = False
    dsp: bool = False
    memory: tuple[Memory, ...] = ()
    stack_bytes: int = 8192  # reserved
    instruction_budget: int = 0  # instructions per second of audio the search may spend; 0: not set
    qemu: Qemu | None = None
    renode: Renode | None = None
    probe: DebugProbe | None = None
    estimate: Estimate | None = None
    tflm: str = ""  # TFLM's own name of the core (TARGET_ARCH of its build): cortex-m4+fp; empty: no tflm runtime
    microphone: str = ""  # firmware/microphone/<name>.c; empty: audio comes over the console alone
    folder: str = ""
    emulator: str = (
        ""  # not of board.yaml: qemu, renode, host or serial, as deploy/places/place.py chose for this command
    )

    @property
    def real(self) -> bool:
        """Whether there is such a board to plug in."""
        return self.probe is not None

    def region(self, name: str) -> Memory:
        for memory in self.memory:
            if memory.name == name:
                return memory
        raise TinyflowError(f"board {self.name} has no memory region {name}", f"add it to {self.folder}/board.yaml")


def board_names() -> list[str]:
    return sorted(path.parent.name for path in BOARDS.glob("*/board.yaml"))


def load_board(name: str) -> Board:
    """The board ``name``: a folder of boards/, or a path to a folder with a board.yaml."""
    import yaml
    from pydantic import TypeAdapter, ValidationError

    folder = Path(name) if Path(name, "board.yaml").is_file() else BOARDS / name
    path = folder / "board.yaml"
    if not path.is_file():
        near = get_close_matches(name, board_names(), 1)
        raise TinyflowError(
            f"no board {name!r}",
            f"did you mean {near[0]!r}?" if near else f"`tinyflow boards` lists: {', '.join(board_names())}",
        )
    try:
        value: Any = yaml.safe_load(path.read_text())
        if isinstance(value, dict) and "emulator" in value:
            raise TinyflowError(
                f"{path}: emulator is {value['emulator']!r}: where a board runs is not its own fact",
                "each command chooses it: --emulator",
            )
        value = {"name": folder.name, "folder": str(folder.resolve()), **value}
        return TypeAdapter(Board).validate_python(value)
    except yaml.YAMLError as error:
        raise TinyflowError(f"{path} is not valid YAML: {error}", "check the indentation near that line") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise TinyflowError(
            f"{path}: {key} is {first.get('input')!r}: {first['msg']}", "docs/boards.md lists the keys"
        ) from None
