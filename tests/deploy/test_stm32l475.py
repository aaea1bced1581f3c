"""b-l475e-iot01a under QEMU: the STM32L4 start-up boots, SysTick counts executed instructions, networks come out bit
for bit.
"""

import re
import subprocess

import numpy as np
import pytest
from firmware_models import misbehaving
from model_zoo import ds_cnn
from targets import met, on

from tinyflow.board import load_board
from tinyflow.compile.foreign import compile_tflite
from tinyflow.deploy.build import build
from tinyflow.deploy.console import CommandError
from tinyflow.deploy.device import connect
from tinyflow.deploy.places.place import choose_place
from tinyflow.deploy.places.qemu import qemu_version
from tinyflow.deploy.profile import profile
from tinyflow.deploy.run import selftest
from tinyflow.deploy.validate import validate
from tinyflow.errors import TinyflowError

pytestmark = pytest.mark.qemu
BOARD = load_board("b-l475e-iot01a")


@pytest.fixture(scope="module")
def board():
    version = ".".join(map(str, qemu_version()))
    if tuple(map(int, version.split("."))) < tuple(map(int, BOARD.qemu.minimum_version.split("."))):
        pytest.skip(
            f"needs QEMU {BOARD.qemu.minimum_version} or newer for {BOARD.qemu.machine}; this is {version}: make setup"
        )
    return choose_place(BOARD, "qemu")


@pytest.fixture(scope="module")
def made(board, speaking_model, tmp_path_factory):
    return build(speaking_model, BOARD, tmp_path_factory.mktemp("l475") / "out")


def test_boots_and_says_what_counts_and_what_is_missing(made, board):
    with connect(made, met(board), timeout=60) as device:
        said = device.hello()
        assert device.resolution == 2
    assert (
        said["board"] == "b-l475e-iot01a"
        and said["counter"] == board.counter.name == "systick"
        and said["counter_hz"] == 80_000_000
    )
    assert said["counter_bits"] == board.counter.width_bits == BOARD.counter.width_bits
    assert said["warning"] == "FLASH_ACR reads 0: an emulator without flash wait states"  # and nothing else went wrong


def test_a_loop_of_known_length_is_counted_beyond_systicks_24_bits(made, board):
    """Two instructions an iteration. SysTick wraps every 26 million instructions; each wrap's handler runs five of its
    own.
    """
    handler, wrap = 8, 2**24 * 25 // 16
    with connect(made, met(board), timeout=120) as device:
        for count in (1, 7, 1000, 12345, 10_000_000, 100_000_000):
            wraps = 2 * count // wrap + 1
            counted = device.loop(count)
            assert (
                2 * count - device.resolution
                <= counted
                <= 2 * count + 2 + 2 * device.resolution + (handler * wraps if count > 12345 else 0)
            ), count
        counts = [device.loop(1000) for _ in range(4)]
        assert max(counts) - min(counts) <= device.resolution


def test_front_end_self_test_and_parity(made, board, speaking_model, clips):
    result = selftest(on(made, board))
    assert result.passed and result.features_equal == result.answers_equal == 3 and result.unit == "instructions"
    checked = validate(on(made, board, speaking_model), n=1, audio=clips[:1])
    assert checked.passed and checked.parity.features.identical_on_device_and_host == 1


def test_a_network_is_bit_exact_and_takes_what_it_takes_on_another_emulated_board(board, tmp_path):
    (tmp_path / "network.tflite").write_bytes(ds_cnn())
    compiled = compile_tflite(tmp_path / "network.tflite", tmp_path / "compiled")
    firmware = build(compiled, BOARD, tmp_path / "out")
    result = validate(on(firmware, board, compiled), n=2)
    assert result.passed and result.equal == 2
    counted = profile(on(firmware, board, compiled))
    assert (
        counted.unit == "instructions"
        and counted.resolution == 2
        and counted.counter == "systick"
        and counted.milliseconds is None
    )
    assert counted.layers_agree and counted.invoke_units > 0.5 * compiled.macs
    assert 0 < counted.stack_bytes < BOARD.stack_bytes
    assert any("SysTick" in note for note in counted.notes)
    other = load_board("mps2-an386")  # the same core: the same instructions
    elsewhere = profile(on(build(compiled, other, tmp_path / "mps2"), other, compiled))
    # a tick each, and one of the calibration
    assert abs(elsewhere.invoke_units - counted.invoke_units) <= 2 * (elsewhere.resolution + counted.resolution)


def test_faults_are_reported(board, tmp_path):
    firmware = build(misbehaving(tmp_path / "model"), BOARD, tmp_path / "out")
    for kind, said in ((1, "undefined instruction"), (2, "bus fault"), (3, "stack overflow"), (4, "division by zero")):
        with (
            connect(firmware, met(board), timeout=20) as device,
            pytest.raises(TinyflowError, match=f"{said}.*cfsr 0x"),
        ):
            device.infer(np.full(8, kind, np.int8))


def test_the_counter_means_what_it_counts_where_the_board_is_met(board):
    serial = choose_place(BOARD, "serial", "/dev/ttyACM0")
    assert serial.counter == BOARD.counter and serial.counter.unit == "cycles" and board.counter.unit == "instructions"
    # one image
    assert (
        serial.counter.frequency_hz == board.counter.frequency_hz
        and serial.counter.width_bits == board.counter.width_bits
    )


def test_an_older_qemu_is_refused_by_its_version(board, made, monkeypatch):
    from tinyflow.deploy.places import qemu

    monkeypatch.setattr(qemu, "qemu_version", lambda: (7, 2, 22))
    with pytest.raises(TinyflowError, match=re.escape("qemu-system-arm is 7.2.22; board b-l475e-iot01a needs 9.1")):
        qemu.qemu_command(made, BOARD)


def test_the_microphone_driver_is_linked_and_says_what_qemu_lacks(made, board):
    names = subprocess.run(["arm-none-eabi-nm", made.elf], capture_output=True, text=True, check=True).stdout
    assert re.search(r" T microphone_start\n", names)
    with (
        connect(made, met(board), timeout=60) as device,
        pytest.raises(CommandError, match="DFSDM1 gives no samples: CNDTR4 of DMA1 stands still"),
    ):
        device.console.request("microphone", seconds=1)
