"""Boards that share an ST-LINK's USB ids, told apart by the label of the probe's drive: where they run, and which probe
is theirs.
"""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from scripted import BOARD, SERIAL

from tinyflow.board import load_board
from tinyflow.deploy.flash.confirm import console_port
from tinyflow.deploy.flash.flashing import find_probe
from tinyflow.deploy.flash.probes import list_probes, own_probes
from tinyflow.deploy.places.place import choose_place
from tinyflow.deploy.places.readiness import places_here
from tinyflow.deploy.places.serialport import find_port
from tinyflow.errors import TinyflowError

NUCLEO, DISCOVERY = "NODE_L4R5ZI", "DIS_L4IOT"
KIT = load_board("b-l475e-iot01a")
OTHER_BOARD = (
    "the probe's drive is called ..., not NODE_L4R5ZI: it is another board",
    "choose the right board (`tinyflow boards`), or the right probe (--probe)",
)


@pytest.fixture
def ports(monkeypatch):
    """The serial ports of probes with these serial numbers, by name /dev/<number>."""
    from serial.tools import list_ports

    def plug(*serials: str) -> None:
        found = [
            SimpleNamespace(device=f"/dev/{serial}", vid=0x0483, pid=0x374B, serial_number=serial) for serial in serials
        ]
        monkeypatch.setattr(list_ports, "comports", lambda: found)

    return plug


def serial_place(board) -> tuple[bool, str]:
    (serial,) = (there for there in places_here([board])[board.name] if there.name == "serial")
    return serial.ready, serial.found


def test_a_plugged_in_nucleo_leaves_the_discovery_kit_to_its_emulator(usb, ports):
    usb.plug("N1", drive=NUCLEO)
    ports("N1")
    assert (choose_place(BOARD).where, choose_place(KIT).where) == ("serial", "qemu")
    assert serial_place(BOARD) == (True, "debug probe N1") and serial_place(KIT) == (False, "no board plugged in")
    assert find_port(BOARD) == "/dev/N1" and console_port(KIT, "") == ""
    with pytest.raises(
        TinyflowError,
        match=(
            r"no serial port of b-l475e-iot01a found .*USB serial ports here: /dev/N1 \(0483:374b, of another board\)"
        ),
    ):
        find_port(KIT)


def test_both_plugged_in_need_no_choice(usb, ports, openocd, run):
    usb.plug("D1", drive=DISCOVERY)
    usb.plug("N1", drive="NOD_L4R5ZI")
    ports("D1", "N1")
    arguments = openocd()
    assert run().probe == "N1" and "adapter serial {N1}" in arguments.read_text()
    assert find_probe(KIT).serial == "D1"
    assert (
        (find_port(BOARD), find_port(KIT))
        == ("/dev/N1", "/dev/D1")
        == (console_port(BOARD, ""), console_port(KIT, "D1"))
    )
    assert choose_place(KIT).where == "serial" and serial_place(KIT) == (True, "debug probe D1")


def test_another_boards_probe_is_refused_whatever_the_way(usb, openocd, run, documented, tmp_path):
    """Alone, among others like it, or named; but not where the user names the drive itself."""
    arguments = openocd()
    usb.plug("D1", drive=DISCOVERY)
    for chosen in ({}, {"way": "openocd"}, {"way": "mass-storage"}, {"probe": "D"}, {"probe": "D1", "drive": tmp_path}):
        with pytest.raises(TinyflowError) as caught:
            run(**chosen)
        documented(caught.value, *OTHER_BOARD)
        assert "is called DIS_L4IOT, not" in caught.value.message
    usb.plug("F1", drive="DIS_F407VG")
    with pytest.raises(TinyflowError) as caught:
        run()
    documented(caught.value, *OTHER_BOARD)
    assert "is called DIS_L4IOT or DIS_F407VG, not" in caught.value.message
    usb.plug("N1", drive=NUCLEO)
    with pytest.raises(TinyflowError) as caught:
        run(probe="F1")
    documented(caught.value, *OTHER_BOARD)
    assert not arguments.exists()


def test_a_drive_that_the_user_names_beside_another_boards_probe(usb, tmp_path):
    usb.plug("D1", drive=DISCOVERY)
    assert find_probe(BOARD, drive=tmp_path) is None


def test_unknown_labels_may_be_anybodys(usb, documented):
    """No drive, or a system that does not say; and boards whose board.yaml knows no label."""
    usb.plug("U1")
    usb.plug("D1", drive=DISCOVERY)
    assert [probe.serial for probe in own_probes(BOARD)] == ["U1"] and [probe.serial for probe in own_probes(KIT)] == [
        "D1",
        "U1",
    ]
    assert find_probe(BOARD).serial == "U1" and choose_place(BOARD).where == "serial"
    with pytest.raises(TinyflowError) as caught:
        find_probe(KIT)
    assert caught.value.message == "2 probes are plugged in: D1 (STM32 STLink), U1 (STM32 STLink)"
    usb.plug("N1", drive=NUCLEO)
    with pytest.raises(TinyflowError) as caught:
        find_probe(BOARD)
    assert (caught.value.message, caught.value.hint) == (
        "2 probes are plugged in: N1 (STM32 STLink), U1 (STM32 STLink)",
        "choose one: --probe N1",
    )
    unlabelled = replace(BOARD, probe=replace(BOARD.probe, mass_storage=None))
    assert own_probes(unlabelled) == list_probes(BOARD) and len(list_probes(BOARD)) == 3


def test_the_label_is_read_as_udev_writes_it(usb):
    usb.plug(SERIAL, drive="MY\\x20DRIVE")
    (probe,) = list_probes(BOARD)
    assert probe.label == "MY DRIVE" and own_probes(BOARD) == []
