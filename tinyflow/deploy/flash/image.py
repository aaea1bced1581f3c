"""The bytes that a firmware.elf puts into the flash: what pyOCD loads and compares, and what is
dragged onto a drive.
"""

from dataclasses import dataclass
from pathlib import Path

from tinyflow.board import Board
from tinyflow.errors import TinyflowError

ERASED = b"\xff"


@dataclass(frozen=True)
class Image:
    address: int
    data: bytes  # contiguous; what the ELF leaves out between its segments is as erased


def read_image(elf: Path, board: Board) -> Image:
    """The loaded segments of ``elf`` at their load addresses (.data where the start-up copies it from).

    Errors: not an ELF file, no loaded segment, or bytes outside the board's FLASH region.
    """
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with elf.open("rb") as file:
            segments = sorted((s["p_paddr"], s.data()) for s in ELFFile(file).iter_segments("PT_LOAD") if s["p_filesz"])
    except ELFError as error:
        raise TinyflowError(f"{elf} is not an ELF file: {error}", f"tinyflow build --board {board.name}") from None
    if not segments:
        raise TinyflowError(f"{elf} has nothing to load", f"tinyflow build --board {board.name}")
    region = board.region("FLASH")
    start, end = segments[0][0], max(address + len(data) for address, data in segments)
    if start != region.origin or end > region.origin + region.length:
        raise TinyflowError(
            f"{elf} loads {start:#010x} to {end:#010x}; the flash of {board.name} is {region.origin:#010x} to"
            f" {region.origin + region.length:#010x}",
            f"tinyflow build --board {board.name}",
        )
    data = bytearray(ERASED * (end - start))
    for address, part in segments:
        data[address - start : address - start + len(part)] = part
    return Image(start, bytes(data))
