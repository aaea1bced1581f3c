"""How an emulator is to be started for a board, as its board.yaml says."""

from dataclasses import dataclass

from tinyflow.board.counter import Counter
from tinyflow.board.schema import FORBID


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
