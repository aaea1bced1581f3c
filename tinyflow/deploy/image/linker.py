"""The linker script of a board, from its memory regions, and what an image that does not fit is told."""

import re

from tinyflow.board import Board
from tinyflow.deploy.image.sizes import Sizes
from tinyflow.errors import TinyflowError

# The stack lies at the bottom of RAM: growing down, an overflow leaves RAM and faults instead of eating variables.
SCRIPT = """/* SPDX-License-Identifier: Apache-2.0 */
/* {board}: generated from board.yaml by tinyflow. */
ENTRY(cortexm_reset)

MEMORY
{{
  FLASH (rx) : ORIGIN = {flash.origin:#010x}, LENGTH = {flash_length:#x}
  RAM (rw) : ORIGIN = {ram.origin:#010x}, LENGTH = {ram_length:#x}
}}

SECTIONS
{{
  .vectors : {{ KEEP(*(.vectors)) }} > FLASH
  .text : {{ *(.text .text.*) . = ALIGN(4); }} > FLASH
  .rodata : {{ *(.rodata .rodata.*) . = ALIGN(4); }} > FLASH
  /* Start-up runs no constructors: what wants one must not link. */
  .init_array : {{ KEEP(*(.preinit_array*)) KEEP(*(.init_array*)) KEEP(*(.ctors*)) }} > FLASH
  ASSERT(SIZEOF(.init_array) == 0, "a static constructor, which start-up would not run")
  .selftest : {{ *(.selftest .selftest.*) . = ALIGN(4); }} > FLASH

  .stack (NOLOAD) :
  {{
    __stack_bottom = .;
    . += {stack_bytes};
    __stack_top = .;
  }} > RAM

  .data :
  {{
    __data_start = .;
    *(.data .data.*)
    . = ALIGN(4);
    __data_end = .;
  }} > RAM AT > FLASH
  __data_load = LOADADDR(.data);

  .bss (NOLOAD) :
  {{
    __bss_start = .;
    *(.bss .bss.* COMMON)
    . = ALIGN(4);
    __bss_end = .;
  }} > RAM

  /DISCARD/ : {{ *(.ARM.exidx*) *(.ARM.extab*) *(.fini_array*) *(.dtors*) *(.eh_frame*) *(.note.*) }}
}}
"""
ROOM = 0x08000000  # of a region while measuring an image that does not fit

_OVERFLOW = re.compile(r"region [`'](\w+)' overflowed by (\d+) bytes")


def linker_script(board: Board, measuring: bool = False) -> str:
    """GNU ld script for ``board``. measuring: with room to spare, to learn the sizes of an image that does not fit."""
    if board.stack_bytes <= 0 or board.stack_bytes % 8:
        raise TinyflowError(
            f"board {board.name}: stack_bytes is {board.stack_bytes}",
            "a positive multiple of 8 (the procedure call standard)",
        )
    flash, ram = board.region("FLASH"), board.region("RAM")
    return SCRIPT.format(
        board=board.name,
        flash=flash,
        ram=ram,
        flash_length=ROOM if measuring else flash.length,
        ram_length=ROOM if measuring else ram.length,
        stack_bytes=board.stack_bytes,
    )


def overflows(linker_output: str) -> dict[str, int]:
    """Regions that GNU ld says overflowed, and by how many bytes."""
    return {name: int(count) for name, count in _OVERFLOW.findall(linker_output)}


def does_not_fit(board: Board, over: dict[str, int], sizes: Sizes | None) -> TinyflowError:
    """The error for an image that overflows: by how much, which sections, the largest symbols."""
    lines = [
        f"the image does not fit {board.name}: {name} overflows by {count:,} bytes of {board.region(name).length:,}"
        for name, count in over.items()
    ]
    if sizes:
        for name in over:
            inside = [section for section in sizes.elf_sections if (section.flash if name == "FLASH" else section.ram)]
            text = ", ".join(
                f"{section.name} {section.bytes:,}"
                for section in sorted(inside, key=lambda section: -section.bytes)[:5]
            )
            lines.append(f"{name} holds {text}")
        if "FLASH" in over:
            largest = sorted((*sizes.functions, *sizes.constants), key=lambda symbol: -symbol.bytes)[:5]
            lines.append("largest in flash: " + ", ".join(f"{symbol.name} {symbol.bytes:,}" for symbol in largest))
    hint = {
        "FLASH": "build with fewer self-test clips, or take a smaller network (channels, cells)",
        "RAM": "take a smaller network (channels, cells, stem_stride 2), or a larger board",
    }
    return TinyflowError("; ".join(lines), "; ".join(hint[name] for name in over))
