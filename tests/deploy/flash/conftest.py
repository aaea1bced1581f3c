"""A made-up sysfs, programs in the place of OpenOCD and pyOCD, and a console that answers: what flash meets without a
board.
"""

import json
import os
import pty
import threading
import tty
from pathlib import Path
from types import SimpleNamespace

import pytest
from scripted import BOARD, OPENOCD, SERIAL, loaded, looked, write_elf

from tinyflow.deploy.artefact import Firmware
from tinyflow.deploy.flash import mass_storage, probes
from tinyflow.deploy.flash.flashing import flash, make_plan
from tinyflow.deploy.places.place import Place


@pytest.fixture
def firmware(tmp_path) -> Firmware:
    folder = tmp_path / "build"
    folder.mkdir()
    write_elf(folder / "firmware.elf")
    return Firmware(folder, BOARD.name, "b01d1d", "compile", "gcc", "-O2", 1, 1, 1, 1, 1)


@pytest.fixture
def image(firmware) -> bytes:
    return write_elf(firmware.elf)


@pytest.fixture(autouse=True)
def usb(tmp_path, monkeypatch):
    """A sysfs tree with one folder per plugged-in device; nothing of this machine's own hardware
    or programs is seen.
    """
    sysfs, nodes, blocks, labels = (tmp_path / name for name in ("sysfs", "nodes", "blocks", "labels"))
    for folder in (sysfs, blocks, labels, sysfs / "usb1"):
        folder.mkdir()
    (sysfs / "usb1/idVendor").write_text("1d6b\n")  # a root hub: ids, no serial number
    (sysfs / "usb1/idProduct").write_text("0002\n")
    (sysfs / "1-1:1.0").mkdir()  # an interface: no ids at all
    mounts = tmp_path / "mountinfo"
    mounts.write_text("22 27 0:21 / /proc rw,relatime - proc proc rw\n")
    for name, value in (("SYSFS", sysfs), ("NODES", nodes), ("BLOCKS", blocks), ("LABELS", labels)):
        monkeypatch.setattr(probes, name, value)
    monkeypatch.setattr(mass_storage, "MOUNTS", mounts)
    monkeypatch.setattr(mass_storage, "VOLUMES", tmp_path / "Volumes")
    monkeypatch.setenv("PATH", f"/usr/bin:/bin:{tmp_path}")
    monkeypatch.setenv("OPENOCD", str(tmp_path / "openocd"))
    monkeypatch.setenv("PYOCD", str(tmp_path / "pyocd"))

    def plug(serial: str, usb_id: str = "0483:374b", drive: str = "", mounted: bool = True) -> SimpleNamespace:
        """drive: the label of the disk that it shows."""
        number = len(list(sysfs.iterdir()))
        device = sysfs / f"1-{number}"
        device.mkdir()
        values = dict(zip(("idVendor", "idProduct"), usb_id.split(":"))) | {
            "serial": serial,
            "product": "STM32 STLink",
            "busnum": "1",
            "devnum": str(number),
        }
        for name, value in values.items():
            (device / name).write_text(value + "\n")
        node = nodes / "001" / f"{number:03d}"
        node.parent.mkdir(parents=True, exist_ok=True)
        node.touch()
        if not drive:
            return SimpleNamespace(node=node, drive=None)
        disk, folder = (
            device / f"{device.name}:1.1/host6/block/sd{number}",
            tmp_path / "media" / str(number) / drive.replace("_", " "),
        )
        disk.mkdir(parents=True)
        folder.mkdir(parents=True)
        (disk / "dev").write_text(f"8:{number}\n")
        (blocks / disk.name).symlink_to(disk)
        (labels / drive).symlink_to(tmp_path / disk.name)
        if mounted:
            escaped = str(folder).replace(" ", "\\040")
            mounts.write_text(
                mounts.read_text() + f"99 27 8:{number} / {escaped} rw,nosuid - vfat /dev/{disk.name} rw\n"
            )
        return SimpleNamespace(node=node, drive=folder)

    return SimpleNamespace(plug=plug)


@pytest.fixture
def run(firmware, usb):
    """flash() of the firmware on the Nucleo; hello is waited for only where a test says so."""

    def run(board=BOARD, progress=lambda *said: None, port="", **chosen):
        chosen = {"wait": False} | chosen
        return flash(make_plan(firmware, Place(board, "serial", port), **chosen), progress)

    return run


@pytest.fixture
def openocd(tmp_path):
    """A program in OpenOCD's place: notes its arguments, says ``log``, exits with ``status``."""
    program, arguments = tmp_path / "openocd", tmp_path / "openocd.arguments"

    def script(log: str = OPENOCD, status: int = 0, seconds: float = 0, version: str = "0.12.0") -> Path:
        (tmp_path / "openocd.log").write_text(log)
        program.write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && echo "Open On-Chip Debugger {version}" >&2 && exit 0\nprintf "%s\\n"'
            f' "$@" > {arguments}\ncat {tmp_path}/openocd.log >&2\n[ {seconds} = 0 ] || exec sleep {seconds}\nexit'
            f" {status}\n"
        )
        program.chmod(0o755)
        return arguments

    return script


@pytest.fixture
def pyocd(tmp_path, image):
    """A program in pyOCD's place: its targets, what it says when it looks at the chip and when it loads the image."""
    program, arguments = tmp_path / "pyocd", tmp_path / "pyocd.arguments"

    def script(
        look: str | None = None,
        load: str | None = None,
        status: int = 0,
        targets=("stm32l4r5zitx", "nrf52840"),
        look_status: int = 0,
    ) -> Path:
        known = {"pyocd_version": "0.46.0", "status": 0, "targets": [{"name": name} for name in targets]}
        (tmp_path / "targets.json").write_text(json.dumps(known))
        (tmp_path / "look.log").write_text(looked() if look is None else look)
        (tmp_path / "load.log").write_text(loaded(len(image)) if load is None else load)
        program.write_text(
            f'#!/bin/sh\n[ "$1" = json ] && cat {tmp_path}/targets.json && exit 0\nprintf "%s\\n" "$@" >>'
            f' {arguments}\ncase "$*" in *"load firmware"*) cat {tmp_path}/load.log; exit {status};; *) cat'
            f" {tmp_path}/look.log; exit {look_status};; esac\n"
        )
        program.chmod(0o755)
        return arguments

    return script


@pytest.fixture
def board_console(monkeypatch):
    """A pseudo-terminal in the place of the probe's serial port, answering hello as the firmware does."""
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


@pytest.fixture
def documented(tmp_path):
    """Asserts that docs/flash.md has this error's message and way out as a row, up to this test's
    folder and wildcards.
    """
    text = (Path(__file__).resolve().parents[3] / "docs/flash.md").read_text().replace("\\|", "|")

    def check(error, message: str, hint: str) -> None:
        """message, hint: as in the table; "..." there stands for anything."""
        assert f"| {message} | {hint} |" in text, f"| {message} | {hint} |"
        for said, row in ((error.message, message), (error.hint, hint)):
            place = 0
            for part in row.split("..."):
                assert part in said[place:], (row, said)
                place = said.index(part, place) + len(part)

    return check
