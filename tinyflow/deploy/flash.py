"""Stage: firmware onto a real board through OpenOCD: find the probe, program, verify, reset, hear it say hello."""

import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyflow.artefacts import write_text
from tinyflow.board import Board
from tinyflow.deploy.artefact import Firmware
from tinyflow.deploy.openocd import find_openocd, run_openocd
from tinyflow.errors import TinyflowError
from tinyflow.progress import Progress, silent

SYSFS = Path("/sys/bus/usb/devices")
NODES = Path("/dev/bus/usb")
SECONDS = 180.0  # a full 2 MiB takes about 60
LOG = "flash.log"


@dataclass(frozen=True)
class Probe:
    serial: str
    usb_id: str  # "0483:374b"
    product: str
    node: Path  # /dev/bus/usb/<bus>/<device>


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
            node = nodes / read(device, "busnum").zfill(3) / read(device, "devnum").zfill(3)
            found.append(Probe(read(device, "serial"), usb_id, read(device, "product"), node))
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
        raise TinyflowError(f"{len(probes)} probes are plugged in: {listed}", f"choose one: --probe {probes[0].serial}")
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


def flash(
    firmware: Firmware, board: Board, probe: str | None = None, progress: Progress = silent, sysfs: Path = SYSFS, nodes: Path = NODES
) -> dict[str, Any]:
    """Programs ``firmware`` into ``board``, reads it back, resets it, and compares the build id it then says.

    probe: a serial number (or its beginning), needed when several probes are plugged in. Option bytes (dual bank,
    protection) are left as they are. OpenOCD's log is kept as flash.log beside the firmware.

    Returns board, probe, bytes, seconds, verified, flash_mode, chip, log; confirmed (bool), console (port or ""),
    note (why it is not confirmed, or the firmware's own warning).
    """
    if board.probe is None or board.probe.openocd is None:
        way = "it is this machine" if board.compiler == "host" else "it is emulated"
        raise TinyflowError(f"{board.name} cannot be flashed: {way}", f"tinyflow run --board {board.name}")
    if firmware.board != board.name:
        raise TinyflowError(f"{firmware.elf} was built for {firmware.board}, not {board.name}", f"tinyflow build --board {board.name}")
    firmware.check()
    config = Path(board.folder, board.probe.openocd.config)
    if not config.is_file():
        raise TinyflowError(f"{config} does not exist", "board.yaml's probe.openocd.config names a file in the board's folder")
    find_openocd()
    chosen = None
    if sys.platform == "linux":
        chosen = choose_probe(board, probe, list_probes(board, sysfs, nodes))
        check_permission(chosen)
    serial = chosen.serial if chosen else (probe or "")

    start = time.monotonic()
    log = _program(firmware, config, serial, progress)
    seconds = time.monotonic() - start
    written = re.search(r"wrote (\d+) bytes", log)
    if not written or "** Verified OK **" not in log:
        raise TinyflowError("OpenOCD ended without an error but did not write and verify", f"see {firmware.folder / LOG}")
    result = {
        "board": board.name,
        "probe": serial,
        "bytes": int(written[1]),
        "seconds": round(seconds, 2),
        "verified": True,
        "chip": _search(r"device idcode = (.+)", log),
        "flash_mode": _search(r"flash mode : (\S+)", log),
        "log": str(firmware.folder / LOG),
    }
    progress("flash", 0, 0, "waiting for the firmware's hello")
    return {**result, **_confirm(firmware, board, serial)}


def _program(firmware: Firmware, config: Path, serial: str, progress: Progress) -> str:
    def show(line: str) -> None:
        if line.startswith("** "):
            progress("flash", 0, 0, line.strip("* "))

    if any(character in str(firmware.elf.resolve()) for character in "{}\\"):
        raise TinyflowError(f"{firmware.elf.resolve()}: OpenOCD cannot take a path with braces or backslashes", "move the run folder")
    commands = [
        *([f"adapter serial {{{serial}}}"] if serial else []),
        "init; reset init",
        "if {[llength [info procs check_chip]]} check_chip",
        f"program {{{firmware.elf.resolve()}}} verify reset exit",
    ]
    try:
        log = run_openocd(config, commands, SECONDS, show)
    except TinyflowError as error:
        text = getattr(error, "log", "")
        if text:
            write_text(firmware.folder / LOG, text)
            error.message += f" (log: {firmware.folder / LOG})"
        raise
    write_text(firmware.folder / LOG, log)
    return log


def _search(pattern: str, log: str) -> str:
    found = re.search(pattern, log)
    return found[1].strip() if found else ""


def console_port(board: Board, serial: str) -> str:
    """The serial port of the probe with this serial number (any probe of the board when it is empty); "" when none."""
    from serial.tools import list_ports

    wanted = {usb_id.lower() for usb_id in board.probe.usb_ids}
    ports = [port for port in list_ports.comports() if port.vid is not None and f"{port.vid:04x}:{port.pid:04x}" in wanted]
    own = [port.device for port in ports if serial and (port.serial_number or "").lower() == serial.lower()]
    return own[0] if own else ports[0].device if len(ports) == 1 and not serial else ""


def _confirm(firmware: Firmware, board: Board, serial: str) -> dict[str, Any]:
    """Whether the very build that was programmed answers on the console. Silence on a port that opens is an error."""
    from tinyflow.deploy.device import connect
    from tinyflow.deploy.place import place

    port = console_port(board, serial)
    if not port:
        return {"confirmed": False, "console": "", "note": "flashed, not confirmed: no console port found"}
    if not os.access(port, os.R_OK | os.W_OK):
        return {"confirmed": False, "console": port, "note": f"flashed, not confirmed: no permission for {port} (sudo usermod -aG dialout $USER, then log in again)"}
    try:
        with connect(firmware, place(board, "serial", port), timeout=10.0) as device:
            warning = device.hello_line.get("warning") or ""
    except TinyflowError as error:
        raise TinyflowError(f"programmed and verified, but not confirmed on {port}: {error.message}", error.hint) from None
    return {"confirmed": True, "console": port, "note": str(warning)}
