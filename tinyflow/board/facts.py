"""Board: what boards/<name>/board.yaml says."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tinyflow.board.core import Core
from tinyflow.board.counter import Counter
from tinyflow.board.emulator import Qemu, Renode
from tinyflow.board.probe import DebugProbe
from tinyflow.board.schema import FORBID
from tinyflow.errors import TinyflowError


@dataclass(frozen=True)
class Memory:
    """A region of the linker script, in bytes."""

    __pydantic_config__ = FORBID
    name: Literal["FLASH", "RAM"]
    origin: int
    length: int


@dataclass(frozen=True)
class SerialConsole:
    """The serial line over which the firmware is asked."""

    __pydantic_config__ = FORBID
    name: str  # LPUART1, UART0, stdio
    baud: int = 115200


@dataclass(frozen=True)
class Estimate:
    """Cycles that an instruction counted under an emulator may take on the real board: ranges, no measurement."""

    __pydantic_config__ = FORBID
    network: tuple[float, float]  # cycles per instruction, least and most
    frontend: tuple[float, float]
    source: str  # where the ranges come from


@dataclass(frozen=True)
class Board:
    """What board.yaml says: facts of a board, wherever it runs (docs/boards.md has every key)."""

    __pydantic_config__ = FORBID
    name: str  # of its folder
    title: str
    core: Core
    port: str  # a folder beside board.yaml, or firmware/port/<port>
    counter: Counter
    console: SerialConsole
    clock_hz: int = 0
    defines: dict[str, str] = field(default_factory=dict)
    memory: tuple[Memory, ...] = ()
    stack_bytes: int = 8192  # reserved
    instruction_budget: int = 0  # instructions per second of audio the search may spend; 0: not set
    qemu: Qemu | None = None
    renode: Renode | None = None
    probe: DebugProbe | None = None
    estimate: Estimate | None = None
    microphone: str = ""  # firmware/microphone/<name>.c; empty: audio comes over the console alone
    folder: str = ""

    @property
    def real(self) -> bool:
        """Whether there is such a board to plug in."""
        return self.probe is not None

    def region(self, name: str) -> Memory:
        for memory in self.memory:
            if memory.name == name:
                return memory
        raise TinyflowError(f"board {self.name} has no memory region {name}", f"add it to {self.folder}/board.yaml")

    def facts(self) -> dict[str, Any]:
        """What fingerprints and build ids hold of the board: all of it but where its folder lies, JSON-able.

        Keys and values are those of before cores.yaml, three empty ones with them: an update discards no search.
        """
        value = asdict(self)
        core = value.pop("core")
        of_core = {key: core[key] for key in ("compiler", "fpu", "dsp", "tflm")}
        console = {**value.pop("console"), "device": ""}
        return {
            **value,
            "core": core["name"],
            "cpu_flags": core["flags"],
            **of_core,
            "console": console,
            "folder": "",
            "emulator": "",
        }
