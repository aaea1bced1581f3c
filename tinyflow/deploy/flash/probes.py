"""The debug probes on USB, as the Linux kernel lists them: which are there, which one is meant, may it be used."""

import os
from dataclasses import dataclass
from pathlib import Path

from tinyflow.board import Board
from tinyflow.errors import TinyflowError

SYSFS = Path("/sys/bus/usb/devices")
NODES = Path("/dev/bus/usb")


@dataclass(frozen=True)
class Probe:
    serial: str  # "" when it has none, or one of unprintable characters (an old ST-LINK/V2)
    usb_id: str  # "0483:374b"
    product: str
    node: Path  # /dev/bus/usb/<bus>/<device>
    device: Path  # its folder in sysfs


def list_probes(board: Board, sysfs: Path = SYSFS, nodes: Path = NODES) -> list[Probe]:
    """The plugged-in USB devices that board.yaml's probe.usb_ids name, by serial number."""

    def read(device: Path, name: str) -> str:
        try:
            return (device / name).read_text(errors="replace").strip()
        except OSError:  # an interface, a root hub without a serial number, or unplugged meanwhile
            return ""

    wanted = {usb_id.lower() for usb_id in board.probe.usb_ids} if board.probe else set()
    found = []
    for device in sorted(sysfs.iterdir()) if sysfs.is_dir() else ():
        usb_id = f"{read(device, 'idVendor')}:{read(device, 'idProduct')}".lower()
        if usb_id in wanted:
            serial = read(device, "serial")
            node = nodes / read(device, "busnum").zfill(3) / read(device, "devnum").zfill(3)
            found.append(Probe(serial if serial.isascii() and serial.isalnum() else "", usb_id, read(device, "product"), node, device))
    return sorted(found, key=lambda probe: probe.serial)


def choose_probe(board: Board, serial: str | None, probes: list[Probe]) -> Probe:
    """The one probe, or the one whose serial number is (or begins with) ``serial``."""
    listed = ", ".join(f"{probe.serial or '(no serial number)'} ({probe.product or probe.usb_id})" for probe in probes)
    if not probes:
        raise TinyflowError(
            f"no debug probe of {board.name} is plugged in (looked for USB {', '.join(board.probe.usb_ids)})",
            f"connect {board.probe.socket} with a data cable; `lsusb` must show one of these ids",
        )
    if serial:
        matching = [probe for probe in probes if probe.serial.lower().startswith(serial.lower())]
        if len(matching) != 1:
            raise TinyflowError(f"{'no' if not matching else 'more than one'} probe has the serial number {serial}", f"plugged in: {listed}")
        return matching[0]
    if len(probes) > 1:
        named = next((probe.serial for probe in probes if probe.serial), "")
        raise TinyflowError(f"{len(probes)} probes are plugged in: {listed}", f"choose one: --probe {named}" if named else "unplug all but one")
    return probes[0]


def udev_rule(usb_id: str) -> str:
    vendor, product = usb_id.split(":")
    return f'SUBSYSTEM=="usb", ATTRS{{idVendor}}=="{vendor}", ATTRS{{idProduct}}=="{product}", MODE="0660", GROUP="plugdev", TAG+="uaccess"'


def check_permission(probe: Probe) -> None:
    """TinyflowError with the udev rule when this user may not write to the probe."""
    if probe.node.exists() and not os.access(probe.node, os.R_OK | os.W_OK):
        raise TinyflowError(
            f"no permission to use the probe {probe.serial} ({probe.usb_id}): {probe.node} is not writable",
            f"echo '{udev_rule(probe.usb_id)}' | sudo tee /etc/udev/rules.d/60-tinyflow.rules "
            "&& sudo udevadm control --reload-rules, then plug the board in again",
        )
