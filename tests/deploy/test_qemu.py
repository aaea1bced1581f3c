"""The emulated MCU: its counter, per-layer sums, the eight front ends bit for bit, and what failures say."""

from dataclasses import replace

import numpy as np
import pytest
from firmware_models import speaking
from targets import met

from tinyflow.board import load_board
from tinyflow.deploy.build import build
from tinyflow.deploy.device import connect
from tinyflow.deploy.places import qemu
from tinyflow.deploy.places.host import start_host
from tinyflow.deploy.places.place import choose_place
from tinyflow.deploy.places.serialport import SerialTransport, find_port
from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import TABLE_1

TARGET = pytest.mark.parametrize("speaking_built", [pytest.param("mps2-an386", marks=pytest.mark.qemu)], indirect=True)


@pytest.fixture(scope="module")
def board():
    return load_board("mps2-an386")


@TARGET
def test_a_loop_of_known_length_is_counted_within_two_ticks(speaking_built):
    """Two instructions an iteration, and at most two to load the count.

    A count may read a tick high, and again one for the calibration, which is the least of several empty counts.
    """
    with connect(speaking_built.firmware, met(speaking_built.board), timeout=60) as device:
        assert device.resolution == 5
        for count in (1, 7, 1000, 12345, 10_000_000):
            counted = device.loop(count)
            assert 2 * count - device.resolution <= counted <= 2 * count + 2 + 2 * device.resolution
        counts = [device.loop(1000) for _ in range(4)]
        # where in a tick a count begins depends on when the line came
        assert max(counts) - min(counts) <= device.resolution


@TARGET
def test_counts_of_layers_and_steps_sum_to_the_whole(speaking_built, clips):
    with connect(speaking_built.firmware, met(speaking_built.board), timeout=60) as device:
        profile = device.profile(audio=clips[0])
        again = device.profile(audio=clips[0])
    invoke, layers, frontend = profile["invoke"]["units"], profile["layers"], profile["frontend"]
    assert len(layers) == len(speaking_built.compiled.layers)
    assert abs(sum(layer["units"] for layer in layers) - invoke) < 0.005 * invoke
    assert invoke > speaking_built.compiled.macs and abs(again["invoke"]["units"] - invoke) <= profile["resolution"]
    assert list(frontend["steps"]) == ["window", "fft", "mel", "log", "dct", "quantize"]
    assert (
        abs(sum(step["units"] for step in frontend["steps"].values()) - frontend["frame"]["units"])
        < 0.005 * frontend["frame"]["units"]
    )
    assert (
        frontend["frames"] == 49 and abs(frontend["units"] - 49 * frontend["frame"]["units"]) < 0.02 * frontend["units"]
    )
    assert 0 < profile["stack_bytes"] < 1024 and 0 < frontend["stack_bytes"] < 2048


@pytest.mark.qemu
@pytest.mark.parametrize("config", TABLE_1, ids=lambda config: config.name)
def test_every_front_end_of_table_1_gives_the_hosts_features(config, board, tmp_path, clips):
    """Bit for bit: the stored features are those of the host's C."""
    compiled = speaking(tmp_path / "model", config, clips[:2])
    with connect(build(compiled, board, tmp_path / "out"), met(board), timeout=120) as device:
        result = device.selftest()
        streamed, _ = device.recognise(clips[:1])
    assert result["passed"] and result["features_equal"] == result["answers_equal"] == 2
    with np.load(compiled.selftest) as stored:
        np.testing.assert_array_equal(streamed[0], stored["features"][0].reshape(-1))
    assert result["frontend_units"] > config.frames() * 10_000
    print(f"{config.name}: {result['frontend_units']:,} instructions a second of audio")


def test_without_qemu_the_way_out_is_named(monkeypatch, tmp_path, board):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TinyflowError, match="qemu-system-arm is not installed") as error:
        qemu.qemu_version()
    assert "make setup" in error.value.hint


@pytest.mark.parametrize("said, match", [("QEMU emulator version 6.2.0", "needs 7.0"), ("hello", "said 'hello'")])
def test_a_qemu_that_is_too_old_or_none_is_refused(monkeypatch, tmp_path, board, said, match):
    program = tmp_path / "qemu-system-arm"
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(TinyflowError, match=match):
        qemu.qemu_command(None, board)


def test_a_board_without_an_emulator_says_so(board):
    with pytest.raises(TinyflowError, match="nucleo-l4r5zi has no emulator"):
        qemu.qemu_command(None, load_board("nucleo-l4r5zi"))


@TARGET
def test_an_emulator_that_ends_is_quoted(speaking_built, tmp_path):
    firmware = replace(speaking_built.firmware, folder=tmp_path, elf_sha256="")
    firmware.elf.write_bytes(b"no image")
    with pytest.raises(TinyflowError) as error:
        connect(
            firmware,
            met(replace(speaking_built.board, qemu=replace(speaking_built.board.qemu, machine="no-such-machine"))),
            timeout=20,
        )
    assert "ended" in error.value.message and "no-such-machine" in error.value.message


@TARGET
def test_closing_ends_the_emulator_and_its_folder(speaking_built):
    device = connect(speaking_built.firmware, met(speaking_built.board), timeout=60)
    process, folder = device.console.transport._process, device.console.transport._folder.name
    device.close()
    device.close()
    assert process.poll() is not None
    from pathlib import Path

    assert not Path(folder).exists()


def test_a_missing_image_is_named(tmp_path):
    from types import SimpleNamespace

    with pytest.raises(TinyflowError, match="firmware.elf does not exist"):
        start_host(SimpleNamespace(elf=tmp_path / "firmware.elf"), load_board("host"))


def test_a_board_that_is_not_plugged_in(monkeypatch):
    from serial.tools import list_ports

    nucleo = load_board("nucleo-l4r5zi")
    monkeypatch.setattr(list_ports, "comports", lambda: [])
    with pytest.raises(TinyflowError, match="no serial port of nucleo-l4r5zi") as error:
        find_port(nucleo)
    assert "0483:374b" in error.value.message and "plug" in error.value.hint
    with pytest.raises(TinyflowError, match="cannot open /dev/no-such-port"):
        SerialTransport(nucleo, "/dev/no-such-port")


def test_the_serial_transport_speaks_the_protocol(tmp_path, request):
    """The host firmware behind a pseudo-terminal stands in for a board on a wire."""
    import os
    import pty
    import subprocess
    import termios
    import tty

    from firmware_models import foreign

    from tinyflow.deploy.device import Device

    host = load_board("host")
    compiled = foreign(tmp_path)
    firmware = build(compiled, host, tmp_path / "out")
    ours, theirs = pty.openpty()
    for end in (ours, theirs):
        tty.setraw(end, termios.TCSANOW)
    process = subprocess.Popen([firmware.elf], stdin=ours, stdout=ours)
    try:
        nucleo, port = load_board("nucleo-l4r5zi"), os.ttyname(theirs)
        with Device(choose_place(nucleo, "serial", port), SerialTransport(nucleo, port), timeout=20) as device:
            assert device.hello()["build"] == firmware.build_id
            assert device.infer(np.zeros((2, 49 * 40), np.int8)).shape == (2, 4)
        with pytest.raises(
            TinyflowError, match="^b-l475e-iot01a on /dev/.* runs a firmware of host, not b-l475e-iot01a\n"
        ) as error:
            connect(firmware, met(choose_place(load_board("b-l475e-iot01a"), "serial", os.ttyname(theirs))), timeout=20)
        assert (
            error.value.hint
            == "tinyflow flash --board b-l475e-iot01a; if another board is plugged in: --port or --emulator qemu"
        )
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)
