"""What tests of flash are made of: the Nucleo, a small ELF, and what OpenOCD 0.12 and pyOCD 0.46 say when all goes
well.
"""

import struct
from pathlib import Path

from tinyflow.board import load_board

BOARD = load_board("nucleo-l4r5zi")
SERIAL = "066DFF515256897867093917"
OPENOCD = """Open On-Chip Debugger 0.12.0
Info : clock speed 4000 kHz
Info : Target voltage: 3.250794
Info : device idcode = 0x10036470 (STM32L4R/L4Sxx - Rev Y : 0x1003)
Info : RDP level 0 (0xAA)
Info : flash size = 2048 KiB
Info : flash mode : dual-bank
** Programming Started **
** Programming Finished **
** Verify Started **
** Verified OK **
** Resetting Target **
shutdown command invoked
"""
SEGMENTS = ((0x08000000, bytes(range(256)) * 4), (0x08000408, b"data"))


def write_elf(path: Path, segments=SEGMENTS, address: int = 0x20000000) -> bytes:
    """A 32-bit Arm ELF with a PT_LOAD for each (load address, bytes), and one of memory alone; returns the image it
    makes.
    """
    headers, bodies, place = b"", b"", 52 + 32 * (len(segments) + 1)
    for load, data in segments:
        headers += struct.pack("<8I", 1, place + len(bodies), address, load, len(data), len(data), 5, 4)
        bodies += data
    headers += struct.pack("<8I", 1, place, address, address, 0, 4096, 6, 4)
    ident = b"\x7fELF" + bytes([1, 1, 1]) + bytes(9)
    path.write_bytes(
        ident
        + struct.pack(
            "<HHIIIIIHHHHHH",
            2,
            40,
            1,
            segments[0][0] if segments else 0,
            52,
            0,
            0x5000200,
            52,
            32,
            len(segments) + 1,
            0,
            0,
            0,
        )
        + headers
        + bodies
    )
    image = b""
    for load, data in segments:
        image = image.ljust(load - segments[0][0], b"\xff") + data
    return image


def looked(word: int = 0x10036470, address: int = 0xE0042000) -> str:
    """What pyOCD's commander says to `reset halt` and `read32`."""
    return (
        f"Resetting target with halt\nSuccessfully halted device on reset\n{address:08x}:  {word:08x}                  "
        "             |..dp|\n"
    )


def loaded(size: int) -> str:
    """What it says to `load`, `compare` and `reset`."""
    return (
        "Resetting target with halt\nSuccessfully halted device on reset\n0001234 I Erasing... [loader]\n0001634 I"
        " Programming... [loader]\n[==================================================] 100%\n0004321 I Erased 4096"
        f" bytes (1 sector), programmed {size} bytes (1 page), identical 0 bytes (0 pages) at 20.00 kB/s"
        f" [loader]\nComparing {size} bytes @ 0x08000000\nAll {size} bytes match.\nResetting target\n"
    )
