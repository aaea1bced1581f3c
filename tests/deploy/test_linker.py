"""Linker scripts and what an image that does not fit is told."""

from dataclasses import replace

import pytest

from tinyflow.board import Memory, load_board
from tinyflow.deploy.image.linker import does_not_fit, linker_script, overflows
from tinyflow.deploy.image.sizes import Section, Sizes, Symbol
from tinyflow.errors import TinyflowError


def test_regions_come_from_the_board():
    script = linker_script(load_board("nucleo-l4r5zi"))
    assert "FLASH (rx) : ORIGIN = 0x08000000, LENGTH = 0x200000" in script
    assert "RAM (rw) : ORIGIN = 0x20000000, LENGTH = 0xa0000" in script
    assert ". += 8192;" in script


def test_a_stack_that_breaks_the_alignment_is_refused():
    with pytest.raises(TinyflowError, match="stack_bytes is 1001"):
        linker_script(replace(load_board("mps2-an386"), stack_bytes=1001))


def test_a_board_without_a_region_is_named():
    with pytest.raises(TinyflowError, match="no memory region RAM"):
        linker_script(replace(load_board("mps2-an386"), memory=(Memory("FLASH", 0, 1024),)))


def test_overflows_of_gnu_ld_are_read():
    said = (
        "ld: firmware.elf section `.rodata' will not fit in region `FLASH'\nld: region `FLASH' overflowed by 1234"
        " bytes\nld: region `RAM' overflowed by 8 bytes"
    )
    assert overflows(said) == {"FLASH": 1234, "RAM": 8}
    assert overflows("undefined reference to `memcpy'") == {}


def test_the_error_names_amount_sections_and_symbols():
    board = load_board("mps2-an386")
    sizes = Sizes(
        0,
        0,
        0,
        (Section(".text", 0, 100, True, False), Section(".rodata", 0, 900, True, False)),
        (Symbol("main", 60, ".text"),),
        (Symbol("model_const_w", 800, ".rodata"),),
    )
    text = str(does_not_fit(board, {"FLASH": 77}, sizes))
    assert (
        "FLASH overflows by 77 bytes" in text
        and ".rodata 900, .text 100" in text
        and "model_const_w 800, main 60" in text
        and "hint" in text
    )
