"""The debug probe on (or for) a board: how it is told on USB, and the ways to program through it."""

from dataclasses import dataclass
from typing import Literal

from tinyflow.board.schema import FORBID


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
    """The ways to program, best first."""

    __pydantic_config__ = FORBID
    usb_ids: tuple[str, ...]  # "0483:374b": probes that belong to this board
    socket: str = "the board's debug USB port"  # where the cable goes, for people: "CN1 on a Nucleo-144"
    chip: Chip | None = None  # what must be connected to it, checked before anything is erased
    openocd: OpenOcd | None = None
    pyocd: PyOcd | None = None
    mass_storage: MassStorage | None = None
