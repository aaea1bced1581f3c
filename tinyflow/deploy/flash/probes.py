"""The debug probes on USB, as the Linux kernel lists them: which are there, which one is meant, may it be used."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tinyflow.board import Board
from tinyflow.errors import TinyflowError

SYSFS = Path("/sys/bus/usb/devices")
NODES = Path("/dev/bus/usb")
BLOCKS = Path("/sys/class/block")
LABELS = Path("/dev/disk/by-label")


@dataclass(frozen=True)
class Probe:
    serial: str  # "" when it has none, or one of unprintable characters (an old ST-LINK/V2)
    usb_id: str  # "0483:374b"
    product: str
    node: Path  # /dev/bus/usb/<bus>/<device>
    device: Path  # its folder in sysfs
    label: str  # of its drag-and-drop drive: NODE_L4R5ZI; "" when it shows none, or the system does not say


def list_probes(board: Board) -> list[Probe]:
    """The plugged-in USB devices that board.yaml's probe.usb_ids name, by serial number. Boards share these: may_be()
    tells them apart.
    """

    def read(device: Path, name: str) -> str:
        try:
            return (device / name).read_text(errors="replace").strip()
        except OSError:  # an interface, a root hub without a serial number, or unplugged meanwhile
            return ""

    wanted = {usb_id.lower() for usb_id in board.probe.usb_ids} if board.probe else set()
    found = []
    for device in sorted(SYSFS.iterdir()) if SYSFS.is_dir() else ():
        usb_id = f"{read(device, 'idVendor')}:{read(device, 'idProduct')}".lower()
        if usb_id in wanted:
            serial = read(device, "serial")
            node = NODES / read(device, "busnum").zfill(3) / read(device, "devnum").zfill(3)
            label = next(filter(None, map(_label, disks(device))), "")
            found.append(
                Probe(
                    serial if serial.isascii() and serial.isalnum() else "",
                    usb_id,
                    read(device, "product"),
                    node,
                    device,
                    label,
                )
            )
    return sorted(found, key=lambda probe: probe.serial)


def may_be(board: Board, probe: Probe) -> bool:
    """Whether ``probe``, one of list_probes(board), may be this board's: its drive's label does not say otherwise."""
    drive = board.probe.mass_storage
    return not drive or not probe.label or same_label(probe.label, drive.volume)


def own_probes(board: Board) -> list[Probe]:
    """The plugged-in probes that may be this board's."""
    return [probe for probe in list_probes(board) if may_be(board, probe)]


def disks(device: Path) -> list[Path]:
    """The block devices, in sysfs, that hang on a USB device."""
    above = os.path.realpath(device) + "/"
    return (
        [block for block in sorted(BLOCKS.iterdir()) if os.path.realpath(block).startswith(above)]
        if BLOCKS.is_dir()
        else []
    )


def same_label(label: str, volume: str) -> bool:
    """NODE_L4R5ZI of an ST-LINK/V2-1 is NOD_L4R5ZI on a V3."""
    return label.upper().rpartition("_")[2] == volume.upper().rpartition("_")[2]


def _label(disk: Path) -> str:
    for link in LABELS.iterdir() if LABELS.is_dir() else ():
        if Path(os.path.realpath(link)).name == disk.name:
            return re.sub(r"\\x([0-9a-f]{2})", lambda code: chr(int(code[1], 16)), link.name)
    return ""


def choose_probe(board: Board, serial: str | None, probes: list[Probe]) -> Probe:
    """The one of ``probes`` that may be this board's, or the one whose serial number is (or begins with) ``serial``."""
    if not probes:
        raise TinyflowError(
            f"no debug probe of {board.name} is plugged in (looked for USB {', '.join(board.probe.usb_ids)})",
            f"connect {board.probe.socket} with a data cable; `lsusb` must show one of these ids",
        )
    if serial:
        matching = [probe for probe in probes if probe.serial.lower().startswith(serial.lower())]
        if len(matching) != 1:
            raise TinyflowError(
                f"{'no' if not matching else 'more than one'} probe has the serial number {serial}",
                f"plugged in: {_listed(probes)}",
            )
        probes = matching
    own = [probe for probe in probes if may_be(board, probe)]
    if not own:
        raise TinyflowError(
            f"the probe's drive is called {' or '.join(probe.label for probe in probes)}, not"
            f" {board.probe.mass_storage.volume}: it is another board",
            "choose the right board (`tinyflow boards`), or the right probe (--probe)",
        )
    if len(own) > 1:
        named = next((probe.serial for probe in own if probe.serial), "")
        raise TinyflowError(
            f"{len(own)} probes are plugged in: {_listed(own)}",
            f"choose one: --probe {named}" if named else "unplug all but one",
        )
    return own[0]


def _listed(probes: list[Probe]) -> str:
    return ", ".join(f"{probe.serial or '(no serial number)'} ({probe.product or probe.usb_id})" for probe in probes)


def udev_rule(usb_id: str) -> str:
    vendor, product = usb_id.split(":")
    return (
        f'SUBSYSTEM=="usb", ATTRS{{idVendor}}=="{vendor}", ATTRS{{idProduct}}=="{product}", MODE="0660",'
        ' GROUP="plugdev", TAG+="uaccess"'
    )


def check_permission(probe: Probe) -> None:
    """TinyflowError with the udev rule when this user may not write to the probe."""
    if probe.node.exists() and not os.access(probe.node, os.R_OK | os.W_OK):
        raise TinyflowError(
            f"no permission to use the probe {probe.serial} ({probe.usb_id}): {probe.node} is not writable",
            f"echo '{udev_rule(probe.usb_id)}' | sudo tee /etc/udev/rules.d/60-tinyflow.rules "
            "&& sudo udevadm control --reload-rules, then plug the board in again",
        )
