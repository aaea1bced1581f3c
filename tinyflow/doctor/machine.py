"""What is plugged in or built in: debug probes, serial ports, a GPU."""

import os
import shutil
from pathlib import Path

from tinyflow.board import Board
from tinyflow.deploy.flash.probes import Probe, list_probes, may_be, udev_rule
from tinyflow.doctor.checks import Check, said
from tinyflow.extras import install_command

UDEV = (Path("/etc/udev/rules.d"), Path("/usr/lib/udev/rules.d"), Path("/lib/udev/rules.d"))


def probes(boards: list[Board]) -> list[Check]:
    real = [board for board in boards if board.probe]
    probes: dict[Probe, list[str]] = {}
    for board in real:
        for probe in list_probes(board):
            probes.setdefault(probe, []).extend([board.name] if may_be(board, probe) else [])
    if not probes:
        ids = {usb_id for board in real for usb_id in board.probe.usb_ids}
        rules = [folder for folder in UDEV if any(_mentions(path, ids) for path in folder.glob("*.rules"))]
        found = "none plugged in" + (
            f"; a udev rule is in {rules[0]}" if rules else "; no udev rule for it either (docs/flash.md)"
        )
        return [Check("debug probe", False, found, "flash", "connect the board's debug USB port", optional=True)]
    checks = []
    for probe, of in probes.items():
        allowed = os.access(probe.node, os.R_OK | os.W_OK)
        rule = (
            f"echo '{udev_rule(probe.usb_id)}' | sudo tee /etc/udev/rules.d/60-tinyflow.rules && sudo udevadm control"
            " --reload-rules"
        )
        whose = f"of {' or '.join(of)}" if of else f"of {probe.label}, no board of tinyflow's"
        found = f"{probe.product or probe.usb_id} {probe.serial} ({whose})" + (
            "" if allowed else f", but {probe.node} is not writable"
        )
        checks.append(Check(f"debug probe {probe.serial}", allowed, found, "flash", rule, optional=True))
    return checks


def _mentions(rules: Path, usb_ids: set[str]) -> bool:
    try:
        text = rules.read_text(errors="replace").lower()
    except OSError:
        return False
    return any(
        f'"{product}"' in text and f'"{vendor}"' in text
        for vendor, product in (usb_id.lower().split(":") for usb_id in usb_ids)
    )


def serial_ports() -> Check:
    try:
        from serial.tools import list_ports

        ports = [port.device for port in list_ports.comports() if port.vid is not None]
    except ImportError:
        return Check(
            "serial ports",
            False,
            "pyserial is absent",
            "run on a real board",
            install_command(""),
            optional=True,
        )
    closed = [port for port in ports if not os.access(port, os.R_OK | os.W_OK)]
    if closed:
        return Check(
            "serial ports",
            False,
            f"no permission for {', '.join(closed)}",
            "run on a real board",
            "sudo usermod -aG dialout $USER, then log in again",
            optional=True,
        )
    return Check(
        "serial ports",
        bool(ports),
        ", ".join(ports) or "no USB serial port",
        "run on a real board",
        "connect the board's debug USB port",
        optional=True,
    )


def cuda() -> Check:
    path = shutil.which("nvidia-smi")
    names = said(path, "--query-gpu=name", "--format=csv,noheader").splitlines() if path else []
    return Check(
        "CUDA GPU",
        bool(names),
        ", ".join(names) or "none: training runs on the CPU",
        "faster training",
        "nothing to mend: the CPU does",
        optional=True,
    )
