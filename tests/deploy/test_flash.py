"""Flash: the real OpenOCD as far as it goes without a probe; beyond, a scripted program in its place and a made-up sysfs."""

import json
import os
import pty
import shutil
import stat
import subprocess
import threading
import tty
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tinyflow.board import load_board
from tinyflow.deploy import flash as flash_stage
from tinyflow.deploy.artefact import Firmware
from tinyflow.deploy.flash import flash, list_probes
from tinyflow.deploy.openocd import FAILURES, explain, run_openocd
from tinyflow.errors import TinyflowError

BOARD = load_board("nucleo-l4r5zi")
CONFIG = Path(BOARD.folder, BOARD.probe.openocd.config)
SERIAL = "066DFF515256897867093917"
SUCCESS = """Open On-Chip Debugger 0.12.0
Info : clock speed 4000 kHz
Info : Target voltage: 3.250794
Info : device idcode = 0x10036470 (STM32L4R/L4Sxx - Rev Y : 0x1003)
Info : RDP level 0 (0xAA)
Info : flash size = 2048 KiB
Info : flash mode : dual-bank
** Programming Started **
wrote 131072 bytes from file firmware.elf in 4.181220s (30.614 KiB/s)
** Programming Finished **
** Verify Started **
verified 129044 bytes in 1.316512s (95.722 KiB/s)
** Verified OK **
** Resetting Target **
shutdown command invoked
"""
# OpenOCD 0.12's own wording (stlink_usb.c, libusb_helper.c, stm32l4x.c, target.c, startup.tcl) -> what the user is told
LOGS = {
    "Error: libusb_open() failed with LIBUSB_ERROR_ACCESS\nError: open failed\n** OpenOCD init failed **": "no permission to open the probe",
    "Error: libusb_open() failed with LIBUSB_ERROR_BUSY\nError: open failed": "another program holds the probe",
    "Error: ST-LINK open failed (serial mismatch)\n** OpenOCD init failed **": "OpenOCD does not find the probe",
    "Error: open failed\nin procedure 'program'\n** OpenOCD init failed **": "OpenOCD does not find the probe",
    "Error: libusb_bulk_write error: LIBUSB_ERROR_NO_DEVICE\n** Programming Failed **": "the probe stopped answering",
    "Info : Target voltage: 0.004762\nError: init mode failed (unable to connect to the target)": "the chip has no power",
    "Info : Target voltage: 3.25\nError: init mode failed (unable to connect to the target)": "the chip does not, even held in reset",
    "Error: Error connecting DP: cannot read IDR": "the chip does not, even held in reset",
    "wrong chip: DBGMCU_IDCODE is 0x10006415, expected device 0x470\nin procedure 'check_chip'": "another chip: DBGMCU_IDCODE is 0x10006415, expected device 0x470",
    "Warn : UNEXPECTED idcode: 0x6ba02477\nError: expected 1 of 1: 0x2ba01477": "another core: its debug port says 0x6ba02477",
    "Warn : Cannot identify target as an STM32L4/L5/U5/WB/WL/G0/G4 family device.\n** Programming Failed **": "the chip is not one of STM32L4",
    "Info : RDP level 1 (0x00)\nError: stm32x device protected\n** Programming Failed **": "locked by its read-out protection",
    "Info : RDP level 0 (0xAA)\nError: flash memory write protected\n** Programming Failed **": "write-protected by option bytes",
    "Error: checksum mismatch\ndiff 0 address 0x08000000. Was 0xff instead of 0x00\n** Verify Failed **": "verify mismatch",
    "Error: timed out waiting for flash\n** Programming Failed **": "the flash could not be written",
    "Error: Can't find target/stm32l4x.cfg\n": "no script target/stm32l4x.cfg",
    'invalid command name "adapter"': "does not know the command 'adapter'",
    "Error: something never seen before\n": "OpenOCD failed: something never seen before",
}


@pytest.fixture
def firmware(tmp_path) -> Firmware:
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / "firmware.elf").write_bytes(b"\x7fELF stand-in: the program in OpenOCD's place does not read it")
    return Firmware(folder, BOARD.name, "b01d1d", "compile", "gcc", "-O2", 1, 1, 1, 1, 1)


@pytest.fixture
def usb(tmp_path):
    """Makes a sysfs tree with one folder per plugged-in device; returns the keyword arguments for flash()."""
    sysfs, nodes = tmp_path / "sysfs", tmp_path / "nodes"
    sysfs.mkdir()
    (sysfs / "usb1").mkdir()  # a root hub: ids, no serial number
    (sysfs / "usb1/idVendor").write_text("1d6b\n")
    (sysfs / "usb1/idProduct").write_text("0002\n")
    (sysfs / "1-1:1.0").mkdir()  # an interface: no ids at all

    def plug(serial: str, usb_id: str = "0483:374b") -> Path:
        number = len(list(sysfs.iterdir()))
        device = sysfs / f"1-{number}"
        device.mkdir()
        values = dict(zip(("idVendor", "idProduct"), usb_id.split(":"))) | {"serial": serial, "product": "STM32 STLink", "busnum": "1", "devnum": str(number)}
        for name, value in values.items():
            (device / name).write_text(value + "\n")
        node = nodes / "001" / f"{number:03d}"
        node.parent.mkdir(parents=True, exist_ok=True)
        node.touch()
        return node

    return SimpleNamespace(plug=plug, where={"sysfs": sysfs, "nodes": nodes})


@pytest.fixture
def openocd(tmp_path, monkeypatch):
    """A program in OpenOCD's place: notes its arguments, says ``log``, exits with ``status``."""
    program, arguments = tmp_path / "openocd", tmp_path / "arguments"

    def script(log: str = SUCCESS, status: int = 0, seconds: float = 0) -> Path:
        (tmp_path / "log").write_text(log)
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {arguments}\ncat {tmp_path}/log >&2\n[ {seconds} = 0 ] || exec sleep {seconds}\nexit {status}\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return arguments

    monkeypatch.setenv("OPENOCD", str(program))
    monkeypatch.setattr(flash_stage, "console_port", lambda board, serial: "")
    return script


def test_programs_verifies_and_resets(firmware, usb, openocd):
    usb.plug(SERIAL)
    usb.plug("another", "0403:6001")
    arguments = openocd()
    seen = []
    result = flash(firmware, BOARD, progress=lambda task, done, total, note="": seen.append(note), **usb.where)
    assert result["bytes"] == 131072 and result["verified"] and result["probe"] == SERIAL and result["flash_mode"] == "dual-bank"
    assert result["chip"].startswith("0x10036470") and result["seconds"] >= 0
    assert not result["confirmed"] and result["note"] == "flashed, not confirmed: no console port found"
    lines = arguments.read_text().splitlines()
    assert lines[:2] == ["-f", str(CONFIG)]
    commands = lines[3::2]
    assert commands[1:] == [
        f"adapter serial {{{SERIAL}}}",
        "init; reset init",
        "if {[llength [info procs check_chip]]} check_chip",
        f"program {{{firmware.elf}}} verify reset exit",
    ]
    assert "gdb_port disabled" in commands[0] and not any("option" in command for command in commands)
    assert {"Programming Started", "Verified OK"} <= set(seen)
    assert (firmware.folder / "flash.log").read_text() == SUCCESS
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize("log", LOGS, ids=range(len(LOGS)))
def test_every_failure_is_explained(firmware, usb, openocd, log):
    usb.plug(SERIAL)
    openocd(log, 1)
    with pytest.raises(TinyflowError) as caught:
        flash(firmware, BOARD, **usb.where)
    assert LOGS[log] in caught.value.message and caught.value.hint and "{" not in caught.value.hint
    assert str(firmware.folder / "flash.log") in caught.value.message
    assert (firmware.folder / "flash.log").read_text().strip() == log.strip()


def test_every_row_of_the_table_is_reached():
    reached = {next((failure.message for failure in FAILURES if explain(log).message == failure.message.format(*_groups(failure, log))), "other") for log in LOGS}
    assert reached == {failure.message for failure in FAILURES} | {"other"}


def _groups(failure, log: str) -> tuple:
    import re

    found = re.search(failure.said, log)
    return found.groups() if found else ("", "")


def test_an_exit_without_verification_is_an_error(firmware, usb, openocd):
    usb.plug(SERIAL)
    openocd(SUCCESS.replace("** Verified OK **", ""))
    with pytest.raises(TinyflowError, match="did not write and verify"):
        flash(firmware, BOARD, **usb.where)


def test_time_limit(firmware, usb, openocd, monkeypatch):
    monkeypatch.setattr(flash_stage, "SECONDS", 0.5)
    usb.plug(SERIAL)
    openocd("** Programming Started **\n", 0, seconds=30)
    with pytest.raises(TinyflowError, match=r"did not finish in 0.5 s: \*\* Programming Started"):
        flash(firmware, BOARD, **usb.where)


def test_no_probe(firmware, usb, openocd):
    openocd()
    with pytest.raises(TinyflowError) as caught:
        flash(firmware, BOARD, **usb.where)
    assert "no debug probe of nucleo-l4r5zi is plugged in (looked for USB 0483:374b" in caught.value.message
    assert "CN1" in caught.value.hint and "lsusb" in caught.value.hint


def test_several_probes(firmware, usb, openocd):
    usb.plug("B222")
    usb.plug("A111", "0483:374e")
    arguments = openocd()
    with pytest.raises(TinyflowError) as caught:
        flash(firmware, BOARD, **usb.where)
    assert "2 probes are plugged in: A111 (STM32 STLink), B222 (STM32 STLink)" in caught.value.message
    assert caught.value.hint == "choose one: --probe A111"
    assert flash(firmware, BOARD, "b2", **usb.where)["probe"] == "B222"
    assert "adapter serial {B222}" in arguments.read_text()
    with pytest.raises(TinyflowError, match="no probe has the serial number C333"):
        flash(firmware, BOARD, "C333", **usb.where)


def test_no_permission_prints_the_udev_rule(firmware, usb, openocd, monkeypatch):
    node = usb.plug(SERIAL)
    openocd()
    denied = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: False if path == node else denied(path, mode))  # root may write anything
    with pytest.raises(TinyflowError) as caught:
        flash(firmware, BOARD, **usb.where)
    assert f"{node} is not writable" in caught.value.message
    assert 'ATTRS{idVendor}=="0483", ATTRS{idProduct}=="374b", MODE="0660", GROUP="plugdev", TAG+="uaccess"' in caught.value.hint
    assert "udevadm control --reload-rules" in caught.value.hint


def test_no_openocd(firmware, usb, monkeypatch, tmp_path):
    usb.plug(SERIAL)
    monkeypatch.delenv("OPENOCD", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TinyflowError, match="OpenOCD is not installed") as caught:
        flash(firmware, BOARD, **usb.where)
    assert "apt-get install openocd" in caught.value.hint
    monkeypatch.setenv("OPENOCD", "/nowhere/openocd")
    with pytest.raises(TinyflowError, match="OPENOCD=/nowhere/openocd is not a program"):
        flash(firmware, BOARD, **usb.where)


@pytest.mark.parametrize("name, way", [("mps2-an386", "it is emulated"), ("host", "it is this machine")])
def test_boards_without_a_probe(firmware, name, way):
    with pytest.raises(TinyflowError, match=way) as caught:
        flash(replace(firmware, board=name), load_board(name))
    assert caught.value.hint == f"tinyflow run --board {name}"


def test_firmware_of_another_board_or_missing(firmware, usb):
    with pytest.raises(TinyflowError, match="was built for host, not nucleo-l4r5zi"):
        flash(replace(firmware, board="host"), BOARD, **usb.where)
    firmware.elf.unlink()
    with pytest.raises(TinyflowError, match="firmware.elf does not exist"):
        flash(firmware, BOARD, **usb.where)


def test_sysfs_that_is_absent_lists_nothing(tmp_path):
    assert list_probes(BOARD, tmp_path / "absent", tmp_path) == []


@pytest.fixture
def board_console(monkeypatch):
    """A pseudo-terminal in the place of the ST-LINK's serial port, answering hello as the firmware does."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    said = {"protocol": 1, "build": "b01d1d", "board": BOARD.name, "warning": None}

    def serve() -> None:
        buffer = b""
        try:
            while True:
                buffer += os.read(master, 1024)
                *lines, buffer = buffer.split(b"\n")
                for line in filter(None, lines):
                    os.write(master, json.dumps({"ok": "hello", "id": json.loads(line)["id"], **said}).encode() + b"\n")
        except OSError:
            pass

    threading.Thread(target=serve, daemon=True).start()
    import serial.tools.list_ports

    port = SimpleNamespace(device=os.ttyname(slave), vid=0x0483, pid=0x374B, serial_number=SERIAL)
    other = SimpleNamespace(device="/dev/other", vid=0x0483, pid=0x374B, serial_number="OTHER")
    monkeypatch.setattr(serial.tools.list_ports, "comports", lambda: [other, port])
    yield said
    os.close(slave)
    os.close(master)


def test_the_boards_hello_confirms_the_build(firmware, usb, monkeypatch, tmp_path, board_console):
    usb.plug(SERIAL)
    program = tmp_path / "openocd"
    (tmp_path / "log").write_text(SUCCESS)
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/log\n")
    program.chmod(0o755)
    monkeypatch.setenv("OPENOCD", str(program))
    result = flash(firmware, BOARD, **usb.where)
    assert result["confirmed"] and result["console"].startswith("/dev/") and result["note"] == ""
    board_console["warning"] = "DWT_CYCCNT does not count: cycle counts mean nothing"
    assert flash(firmware, BOARD, **usb.where)["note"].startswith("DWT_CYCCNT")
    board_console["build"] = "01d"
    with pytest.raises(TinyflowError, match="programmed and verified, but not confirmed on .*runs build 01d, not b01d1d"):
        flash(firmware, BOARD, **usb.where)


real = pytest.mark.skipif(not shutil.which("openocd"), reason="openocd is missing: apt-get install openocd")


@real
def test_real_openocd_reads_the_boards_config_and_finds_no_probe():
    if list_probes(BOARD):
        pytest.skip("a probe is plugged in")
    with pytest.raises(TinyflowError, match="OpenOCD does not find the probe"):
        run_openocd(CONFIG, [f"adapter serial {{{SERIAL}}}", "init; reset init"], 30)


@real
@pytest.mark.parametrize("idcode, right", [("0x10036470", True), ("0x10006415", False)])
def test_real_openocd_stops_at_the_wrong_chip(tmp_path, idcode, right):
    config = tmp_path / "board.cfg"
    check = CONFIG.read_text()
    check = check[check.index("proc check_chip") :]
    config.write_text(f"proc mrw {{address}} {{ return {idcode} }}\n{check}")
    commands = ["if {[llength [info procs check_chip]]} check_chip", "echo erasing", "shutdown"]
    if right:
        assert "erasing" in run_openocd(config, commands, 30)
    else:
        with pytest.raises(TinyflowError, match="another chip: DBGMCU_IDCODE is 0x10006415, expected device 0x470") as caught:
            run_openocd(config, commands, 30)
        assert "erasing" not in caught.value.log


@real
def test_real_openocd_takes_a_path_with_spaces(tmp_path):
    """The quoting of flash's program command, given to OpenOCD's own Tcl."""
    path = tmp_path / "with space; and $dollar [bracket]" / "firmware.elf"
    log = subprocess.run(
        ["openocd", "-c", "proc program {file args} { echo \"file=$file\" }", "-c", f"program {{{path}}} verify reset exit", "-c", "shutdown"],
        capture_output=True, text=True,
    ).stderr
    assert f"file={path}" in log


def test_docs_quote_every_failure():
    text = (Path(__file__).resolve().parents[2] / "docs/flash.md").read_text().replace("\\|", "|")
    for failure in FAILURES:
        assert f"| {failure.message} |" in text and f"| {failure.hint} |" in text, failure.message
