"""The mps2 port: its C on the host over simulated registers, with either counter."""

import pytest
from ported import check_object_for_the_chip, first, simulate, start

from tinyflow.board import load_board

# Board -> UART, counter; Arm's reference manuals, independent of board.yaml.
PARTS = {
    "mps2-an386": (0x40004000, {0x40000008: 0xFFFFFFFF, 0x40000004: 0xFFFFFFFF, 0x40000000: 1}),
    "mps3-an547": (0x59303000, {0x58100000: 1}),
}


@pytest.fixture(scope="module", params=PARTS)
def simulated(request, tmp_path_factory):
    return request.param, simulate(load_board(request.param), tmp_path_factory.mktemp(request.param))


def test_console_and_counter_start(simulated):
    name, program = simulated
    writes, text, status = start(program)
    assert status == 0 and "read ab" in text and "counts 1" in text and "warning -" in text and "sent o\nsent k" in text
    uart, counter = PARTS[name]
    board = load_board(name)
    assert first(writes, uart + 0x10, 0xFFFFF, board.clock_hz // 115200) < first(writes, uart + 8, 3, 3)
    assert counter.items() <= dict(writes).items()


def test_a_console_that_does_not_send_ends_in_port_fail(simulated):
    """And writes nothing over what waits to be sent."""
    name, program = simulated
    writes, text, status = start(program, "send")
    assert status == 3 and "fail the console's UART does not send: its buffer stays full" in text
    assert "read ab" not in text and not [value for address, value in writes if address == PARTS[name][0]]


@pytest.mark.parametrize("name", PARTS)
def test_compiles_clean_for_the_board(name, tmp_path):
    check_object_for_the_chip(load_board(name), tmp_path)
