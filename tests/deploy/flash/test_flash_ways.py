"""Probes, image and hello: what is the same whichever way the chip is programmed; and how the way is chosen."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from scripted import BOARD, OPENOCD, SEGMENTS, SERIAL, write_elf

from tinyflow.board import load_board
from tinyflow.deploy.flash import confirm, probes
from tinyflow.deploy.flash.flashing import WAYS, choose_way, find_probe, flash, make_plan
from tinyflow.deploy.flash.image import Image, read_image
from tinyflow.deploy.flash.way import Job
from tinyflow.deploy.places.place import Place
from tinyflow.errors import TinyflowError
from tinyflow.results import to_json

BUILD = "tinyflow build --board nucleo-l4r5zi"


@pytest.mark.parametrize("name, place", [("mps2-an386", "emulated"), ("host", "this machine")])
def test_boards_without_a_probe(firmware, name, place, documented):
    for attempt in (
        lambda: find_probe(load_board(name)),
        lambda: make_plan(replace(firmware, board=name), Place(load_board(name), "serial")),
    ):
        with pytest.raises(TinyflowError) as caught:
            attempt()
        documented(caught.value, f"{name} cannot be flashed: it is {place}", f"tinyflow run --board {name}")


def test_firmware_of_another_board_or_missing(firmware, usb, documented):
    with pytest.raises(TinyflowError) as caught:
        make_plan(replace(firmware, board="host"), Place(BOARD, "serial"))
    documented(caught.value, ".../firmware.elf was built for host, not nucleo-l4r5zi", BUILD)
    firmware.elf.unlink()
    with pytest.raises(TinyflowError) as caught:
        make_plan(firmware, Place(BOARD, "serial"))
    documented(caught.value, ".../firmware.elf does not exist", BUILD)


def test_no_probe(run, documented):
    with pytest.raises(TinyflowError) as caught:
        run()
    documented(
        caught.value,
        f"no debug probe of nucleo-l4r5zi is plugged in (looked for USB {', '.join(BOARD.probe.usb_ids)})",
        "connect the board's ST-LINK USB port (CN1 on a Nucleo-144) with a data cable; `lsusb` must show one of"
        " these ids",
    )


def test_several_probes(usb, openocd, run, documented):
    usb.plug("B222")
    usb.plug("A111", "0483:374e")
    arguments = openocd()
    with pytest.raises(TinyflowError) as caught:
        run()
    documented(
        caught.value, "2 probes are plugged in: A111 (STM32 STLink), B222 (STM32 STLink)", "choose one: --probe A111"
    )
    assert run(probe="b2").probe == "B222"
    assert "adapter serial {B222}" in arguments.read_text()
    with pytest.raises(TinyflowError) as caught:
        run(probe="C333")
    documented(caught.value, "no probe has the serial number C333", "plugged in: A111 (...), B222 (...)")
    usb.plug("A222")
    with pytest.raises(TinyflowError) as caught:
        run(probe="A")
    caught.value.hint = caught.value.hint.removesuffix(", B222 (STM32 STLink)")
    documented(caught.value, "more than one probe has the serial number A", "plugged in: A111 (...), A222 (...)")


def test_probes_of_unprintable_serial_numbers(usb, openocd, run, documented):
    usb.plug("\x01W\u0429?gIQ", "0483:374b")
    arguments = openocd()
    assert run().probe == "" and "adapter serial" not in arguments.read_text()
    usb.plug("", "0483:374b")
    with pytest.raises(TinyflowError) as caught:
        run()
    documented(
        caught.value,
        "2 probes are plugged in: (no serial number) (...), (no serial number) (...)",
        "unplug all but one",
    )


def test_sysfs_that_is_absent_lists_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(probes, "SYSFS", tmp_path / "absent")
    assert probes.list_probes(BOARD) == []


def deny(monkeypatch, *paths) -> None:
    allowed = os.access
    # root may write anything
    monkeypatch.setattr(
        os, "access", lambda path, mode, **more: False if path in paths else allowed(path, mode, **more)
    )


def test_no_permission_prints_the_udev_rule(usb, openocd, pyocd, run, monkeypatch, documented):
    node = usb.plug(SERIAL).node
    openocd()
    pyocd()
    deny(monkeypatch, node)
    row = "no permission to use the probe ... (0483:374b): ... is not writable"
    hint = (
        "echo '...' | sudo tee /etc/udev/rules.d/60-tinyflow.rules && sudo udevadm control --reload-rules, then plug"
        " the board in again"
    )
    for way in ("openocd", "pyocd"):
        with pytest.raises(TinyflowError) as caught:
            run(way=way)
        documented(caught.value, row, hint)
        assert str(node) in caught.value.message
        assert (
            'ATTRS{idVendor}=="0483", ATTRS{idProduct}=="374b", MODE="0660", GROUP="plugdev", TAG+="uaccess"'
            in caught.value.hint
        )
    with pytest.raises(TinyflowError) as caught:
        run()
    assert caught.value.hint.count("udevadm") == 1 and caught.value.message.count("is not writable") == 2


def test_the_first_way_that_can_be_used_is_taken(firmware, usb, openocd, pyocd, monkeypatch):
    usb.plug(SERIAL, drive="NODE_L4R5ZI")
    chosen = lambda way=None: make_plan(firmware, Place(BOARD, "serial"), way=way, wait=False).said()  # noqa: E731
    openocd()
    pyocd()
    assert (chosen().way, chosen().why) == ("openocd", "the first choice")
    assert (chosen("pyocd").tool, chosen("pyocd").why) == ("pyOCD 0.46.0", "asked for")
    assert chosen("mass-storage").tool.endswith("NODE L4R5ZI")
    openocd(version="0.11.0")
    assert (chosen().way, chosen().why) == ("pyocd", "openocd: OpenOCD 0.11 is too old")
    pyocd(targets=[])
    plan = chosen()
    assert plan.way == "mass-storage"
    assert (
        plan.why
        == "openocd: OpenOCD 0.11 is too old; pyocd: pyOCD 0.46.0 does not know the chip stm32l4r5zitx: its CMSIS-Pack"
        " is not installed"
    )


def test_no_way_says_what_is_wrong_with_each(firmware, usb, run, documented):
    usb.plug(SERIAL)
    with pytest.raises(TinyflowError) as caught:
        run()
    row = "nothing here can program nucleo-l4r5zi: openocd: ...; pyocd: ...; mass-storage: ..."
    documented(caught.value, row, "openocd: ...; pyocd: ...; mass-storage: ...")
    for part in ("/openocd is not a program", "/pyocd is not a program", f"the probe {SERIAL} shows no drive"):
        assert part in caught.value.message


def test_a_board_that_names_no_ways(firmware, image, documented):
    board = replace(BOARD, probe=replace(BOARD.probe, openocd=None, pyocd=None, mass_storage=None))
    job = Job(firmware, board, Image(0x08000000, image), None, "")
    for way, key, hint in (
        ("openocd", "openocd", "docs/boards.md lists the keys"),
        ("pyocd", "pyocd", "docs/boards.md lists the keys"),
        ("mass-storage", "mass_storage", "name the drive's folder: --drive FOLDER"),
    ):
        with pytest.raises(TinyflowError) as caught:
            choose_way(job, way)
        documented(caught.value, f"board.yaml of nucleo-l4r5zi has no probe.{key}", hint)
    board = replace(
        BOARD, probe=replace(BOARD.probe, openocd=replace(BOARD.probe.openocd, config="openocd.cfg")), folder="/nowhere"
    )
    with pytest.raises(TinyflowError) as caught:
        choose_way(replace(job, board=board), "openocd")
    documented(
        caught.value,
        ".../openocd.cfg does not exist",
        "board.yaml's probe.openocd.config names a file in the board's folder",
    )


def test_the_plan_touches_nothing(firmware, usb, openocd):
    usb.plug(SERIAL)
    arguments = openocd()
    before = sorted(firmware.folder.iterdir())
    plan = make_plan(firmware, Place(BOARD, "serial"), wait=False)
    assert vars(plan.said()) == {
        "board": "nucleo-l4r5zi",
        "way": "openocd",
        "tool": "OpenOCD 0.12.0",
        "why": "the first choice",
        "probe": SERIAL,
        "bytes": 0x40C,
        "address": 0x08000000,
        "build": "b01d1d",
        "console": "",
    }
    assert not arguments.exists() and sorted(firmware.folder.iterdir()) == before


def test_image_is_what_the_elf_loads(tmp_path):
    image = write_elf(tmp_path / "firmware.elf")
    assert read_image(tmp_path / "firmware.elf", BOARD) == Image(0x08000000, image)
    assert image[:1024] == SEGMENTS[0][1] and image[1024:1032] == b"\xff" * 8 and image[1032:] == b"data"


@pytest.mark.skipif(
    not shutil.which("arm-none-eabi-gcc"), reason="arm-none-eabi-gcc is missing: apt-get install gcc-arm-none-eabi"
)
def test_image_is_objcopys(tmp_path):
    (tmp_path / "a.c").write_text(
        "const int table[50] = {1, 2, 3}; int data[7] = {4, 5}; int zero[9];\nint start(int i) { return table[i] +"
        " data[i] + zero[i]; }\n"
    )
    (tmp_path / "a.ld").write_text(
        "SECTIONS { .text 0x08000000 : { *(.text*) } .rodata : { *(.rodata*) } .data 0x20000000 : AT(0x08000300) {"
        " *(.data*) } .bss : { *(.bss*) *(COMMON) } }\n"
    )
    subprocess.run(
        ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-nostdlib", "-Wl,-e,start", "-T", "a.ld", "a.c", "-o", "a.elf"],
        cwd=tmp_path,
        check=True,
    )
    subprocess.run(
        ["arm-none-eabi-objcopy", "-O", "binary", "--gap-fill", "0xff", "a.elf", "a.bin"], cwd=tmp_path, check=True
    )
    assert read_image(tmp_path / "a.elf", BOARD).data == (tmp_path / "a.bin").read_bytes()


def test_images_that_do_not_belong_there(tmp_path, documented):
    elf = tmp_path / "firmware.elf"
    elf.write_bytes(b"not an ELF")
    with pytest.raises(TinyflowError) as caught:
        read_image(elf, BOARD)
    documented(caught.value, ".../firmware.elf is not an ELF file: ...", BUILD)
    write_elf(elf, ())
    with pytest.raises(TinyflowError) as caught:
        read_image(elf, BOARD)
    documented(caught.value, ".../firmware.elf has nothing to load", BUILD)
    for segments in (
        ((0x08000100, b"late"),),
        ((0x20000000, b"RAM"),),
        ((0x08000000, b"fits"), (0x081FFFFE, b"over")),
        ((0x07FFFFFC, b"before"),),
    ):
        write_elf(elf, segments)
        with pytest.raises(TinyflowError) as caught:
            read_image(elf, BOARD)
        documented(
            caught.value,
            ".../firmware.elf loads ... to ...; the flash of nucleo-l4r5zi is 0x08000000 to 0x08200000",
            BUILD,
        )


def test_the_boards_hello_confirms_the_build(usb, openocd, run, monkeypatch, board_console, documented):
    monkeypatch.setattr(confirm, "AGAIN_SECONDS", 0.1)
    usb.plug(SERIAL)
    openocd()
    result = run(wait=True)
    assert result.confirmed and result.console.startswith("/dev/") and result.note == ""
    assert json.loads(json.dumps(to_json(result))) == vars(result)
    board_console["warning"] = "DWT_CYCCNT does not count: cycle counts mean nothing"
    assert run(wait=True).note.startswith("DWT_CYCCNT")
    board_console["build"] = "01d"
    with pytest.raises(TinyflowError) as caught:
        run(wait=True)
    documented(
        caught.value, "programmed and verified, but not confirmed on ...: it runs build ..., not ...",
        "another board answers on that port (--port), or the chip boots from its other bank (option byte BFB2)",
    )  # fmt: skip
    assert "runs build 01d, not b01d1d" in caught.value.message


def test_a_board_that_stays_silent(usb, openocd, run, monkeypatch, board_console, documented):
    monkeypatch.setattr(confirm, "AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(confirm, "HELLO_SECONDS", 0.3)
    usb.plug(SERIAL)
    openocd()
    board_console["ok"] = "nothing of the kind"
    with pytest.raises(TinyflowError) as caught:
        run(wait=True)
    documented(
        caught.value, "programmed and verified, but not confirmed on ...: no answer to 'hello' ...",
        "raise the timeout if the model is large; else reset the board and try again",
    )  # fmt: skip


def test_no_console_is_an_error_before_anything_is_touched(firmware, usb, openocd, run, monkeypatch, documented):
    import serial.tools.list_ports

    monkeypatch.setattr(serial.tools.list_ports, "comports", list)
    usb.plug(SERIAL)
    arguments = openocd()
    with pytest.raises(TinyflowError) as caught:
        run(wait=True)
    documented(
        caught.value,
        "no console: the probe ... has no serial port here",
        "name it with --port, or flash without waiting for the firmware's hello: --no-hello; `tinyflow doctor` "
        "lists the ports",
    )
    assert not arguments.exists()
    with monkeypatch.context() as denied, pytest.raises(TinyflowError) as caught:
        deny(denied, "/dev/null")
        run(port="/dev/null", wait=True)
    documented(
        caught.value,
        "no console: no permission for ...",
        "sudo usermod -aG dialout $USER, then log in again; or flash with --no-hello",
    )
    monkeypatch.setattr(confirm, "AGAIN_SECONDS", 0.0)
    with pytest.raises(TinyflowError) as caught:
        run(port="/dev/ttyNOWHERE", wait=True)
    documented(caught.value, "programmed and verified, but not confirmed on ...: cannot open ...", "...")


def test_where_the_system_lists_no_usb_devices(firmware, usb, openocd, monkeypatch):
    """macOS: the serial number is the user's word; the port is the only one of a probe of this board."""
    monkeypatch.setattr(sys, "platform", "darwin")
    arguments = openocd()
    plan = make_plan(firmware, Place(BOARD, "serial"), probe="S1", wait=False)
    assert flash(plan).probe == "S1" and "adapter serial {S1}" in arguments.read_text()
    assert (firmware.folder / "flash.log").read_text() == OPENOCD and list(WAYS) == ["openocd", "pyocd", "mass-storage"]
