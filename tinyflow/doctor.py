"""What this machine has, what is missing, and the one command that mends it. Quick: nothing heavy is imported."""

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tinyflow.board import Board, Qemu, board_names, load_board
from tinyflow.deploy.flash.probes import Probe, list_probes, may_be, udev_rule
from tinyflow.deploy.places.qemu import qemu_version
from tinyflow.deploy.places.renode import INSTALL, find_renode, renode_version
from tinyflow.deploy.tflm.library import check_compiler
from tinyflow.deploy.tflm.library import libraries as tflm_libraries
from tinyflow.errors import TinyflowError
from tinyflow.results import json_property

PYTHON = ((3, 11), (3, 13))  # at least, below
UDEV = (Path("/etc/udev/rules.d"), Path("/usr/lib/udev/rules.d"), Path("/lib/udev/rules.d"))
APT = "sudo apt-get install "
GROUPS = {
    "": "every command",
    "search": "train, evaluate, features",
    "compile": "compile (export, quantise), validate",
    "deploy": "build, run, profile, flash",
    "test": "make test",
    "lint": "make lint",
    "benchmarks": "benchmarks/plain_export.py",
}


@dataclass(frozen=True)
class Check:
    """One thing looked for. ``optional`` things missing are no fault; ``mend`` is the one command (or step) that gets
    it.
    """

    name: str
    ok: bool
    found: str
    needed_for: str
    mend: str
    optional: bool = False


@dataclass(frozen=True)
class Diagnosis:
    checks: tuple[Check, ...]

    @json_property
    def ok(self) -> bool:
        """Whether nothing is missing that is not optional."""
        return all(check.ok or check.optional for check in self.checks)


def check() -> list[Check]:
    """Every check, in the order of the pipeline."""
    boards = [load_board(name) for name in board_names()]
    return [
        _python(),
        *_python_groups(),
        _program("espeak-ng", "espeak-ng", "synthetic speech (the default data)"),
        _host_compiler(),
        _arm_compiler(),
        *_build_tools(),
        *(_qemu(board) for board in boards if board.qemu),
        _program("openocd", "openocd", "flash", optional=True, variable="OPENOCD"),
        _program(
            "pyocd",
            "pyocd",
            "flash, where OpenOCD is not",
            optional=True,
            variable="PYOCD",
            mend=f"{sys.executable} -m pip install pyocd==0.46.0",
        ),
        *_probes(boards),
        _serial_ports(),
        _folder("TINYFLOW_DATA", "real recordings (Speech Commands)", "export TINYFLOW_DATA=/path/to/speech_commands"),
        _tflm(),
        _renode([board for board in boards if board.renode]),
        _cuda(),
    ]


def _said(*command: str) -> str:
    """All that ``command`` prints; "" when it cannot run, fails, or takes more than 10 seconds."""
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (result.stdout + result.stderr).strip() if result.returncode == 0 else ""


def _first_line(text: str) -> str:
    return text.splitlines()[0].partition("  ")[0].strip() if text else ""  # espeak-ng says more after two spaces


def _python() -> Check:
    at_least, below = PYTHON
    ok = at_least <= sys.version_info[:2] < below
    return Check(
        "Python",
        ok,
        f"{platform.python_version()} ({sys.executable})",
        "everything",
        "make setup PYTHON=/usr/bin/python3.11",
    )


def _python_groups() -> list[Check]:
    try:
        requirements = metadata.requires("tinyflow") or []
    except metadata.PackageNotFoundError:
        return [Check("Python packages", False, "tinyflow itself is not installed", "everything", "make setup")]
    groups: dict[str, list[tuple[str, str]]] = {group: [] for group in GROUPS}
    for requirement in requirements:
        text, _, marker = requirement.partition(";")
        found = re.search(r"extra == ['\"](\w+)['\"]", marker)
        below = re.search(r"python_version < ['\"]3\.(\d+)['\"]", marker)
        if not (below and sys.version_info[1] >= int(below[1])):
            name, _, version = text.strip().partition("==")
            groups.setdefault(found[1] if found else "", []).append((name.strip(), version.strip()))
    return [_group(group, packages) for group, packages in groups.items()]


def _group(group: str, packages: list[tuple[str, str]]) -> Check:
    wrong: list[str] = []
    right: list[str] = []
    for name, version in packages:
        try:
            here = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} absent")
            continue
        (right if not version or here == version else wrong).append(
            f"{name} {here}" + (f" (pinned: {version})" if version and here != version else "")
        )
    mend = f"{sys.executable} -m pip install -e '.{f'[{group}]' if group else ''}'"
    found = ", ".join(wrong) or f"{len(right)} as pinned: " + ", ".join(right)
    return Check(
        f"Python packages{f' [{group}]' if group else ''}",
        not wrong,
        found,
        GROUPS.get(group, group),
        mend,
        group in ("test", "lint", "benchmarks"),
    )


def _program(
    name: str, package: str, needed_for: str, optional: bool = False, variable: str = "", mend: str = ""
) -> Check:
    # wheels put programs beside Python
    places = os.pathsep.join((os.environ.get("PATH", ""), str(Path(sys.executable).parent)))
    path = shutil.which(os.environ.get(variable) or name, path=places)
    found = f"{_first_line(_said(path, '--version')) or 'version unknown'} ({path})" if path else "not found"
    if not path and os.environ.get(variable):
        found = f"{variable}={os.environ[variable]} is not a program"
    return Check(name, bool(path), found, needed_for, mend or APT + package, optional)


def _host_compiler() -> Check:
    path = shutil.which(os.environ.get("CC") or "cc")
    return Check(
        "host C compiler",
        bool(path),
        _first_line(_said(path, "--version")) if path else "not found",
        "compile (front end), board host",
        APT + "gcc libc6-dev",
    )


def _arm_compiler() -> Check:
    name, mend = "arm-none-eabi-gcc with newlib-nano", APT + "gcc-arm-none-eabi libnewlib-arm-none-eabi"
    path = shutil.which("arm-none-eabi-gcc")
    if not path:
        return Check(name, False, "not found", "build for Cortex-M", mend)
    library = _said(path, "-print-file-name=libc_nano.a")
    complete = Path(library).is_absolute() and Path(library).is_file()  # gcc answers the bare name when it has none
    return Check(
        name,
        complete,
        _first_line(_said(path, "--version")) + ("" if complete else ", but no libc_nano.a (newlib)"),
        "build for Cortex-M",
        mend,
    )


def _build_tools() -> list[Check]:
    checks = []
    for name in ("cmake", "ninja"):
        beside = Path(sys.executable).with_name(name)  # the wheels put them beside Python
        path = str(beside) if beside.is_file() else shutil.which(name)
        checks.append(
            Check(
                name,
                bool(path),
                _first_line(_said(path, "--version")) if path else "not found",
                "build",
                f"{sys.executable} -m pip install -e '.[deploy]'",
            )
        )
    return checks


def _qemu(board: Board) -> Check:
    name, mend = f"QEMU with {board.qemu.machine}", APT + "qemu-system-arm"
    path = shutil.which("qemu-system-arm")
    if not path:
        return Check(name, False, "not found", f"run on {board.name}", mend)
    try:
        version = qemu_version()
    except TinyflowError as error:
        return Check(name, False, error.message, f"run on {board.name}", mend)
    found = f"QEMU {'.'.join(map(str, version))}"
    if not board.qemu.takes(version):
        newer = "make setup (on Debian 12 it takes QEMU from backports), or a newer Debian"
        some = board.qemu.minimum_version != Qemu.minimum_version  # the other boards run on an older one
        return Check(
            name,
            False,
            f"{found}, older than {board.qemu.minimum_version}",
            f"run on {board.name}",
            newer,
            optional=some,
        )
    has = re.search(rf"^{re.escape(board.qemu.machine)}\s", _said(path, "-machine", "help"), re.M)
    return Check(
        name,
        bool(has),
        found + ("" if has else f" without the machine {board.qemu.machine}"),
        f"run on {board.name}",
        mend,
    )


def _renode(boards: list[Board]) -> Check:
    needed_for = f"run on {', '.join(board.name for board in boards)}"
    try:
        version = renode_version()
        found = f"Renode {'.'.join(map(str, version))} ({find_renode()})"
        newer = [
            f"older than {board.renode.minimum_version} ({board.name})"
            for board in boards
            if not board.renode.takes(version)
        ]
        return Check("Renode", not newer, ", ".join([found, *newer]), needed_for, INSTALL, optional=True)
    except TinyflowError as error:
        return Check("Renode", False, error.message, needed_for, INSTALL, optional=True)


def _probes(boards: list[Board]) -> list[Check]:
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


def _serial_ports() -> Check:
    try:
        from serial.tools import list_ports

        ports = [port.device for port in list_ports.comports() if port.vid is not None]
    except ImportError:
        return Check(
            "serial ports",
            False,
            "pyserial is absent",
            "run on a real board",
            f"{sys.executable} -m pip install -e '.[deploy]'",
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


def _folder(variable: str, needed_for: str, mend: str) -> Check:
    value = os.environ.get(variable, "")
    ok = bool(value) and Path(value).is_dir()
    return Check(
        variable,
        ok,
        value if ok else f"{value} is not a folder" if value else "not set",
        needed_for,
        mend,
        optional=True,
    )


def _tflm() -> Check:
    needed_for = "--runtime tflm, benchmarks beside TFLM"
    if not os.environ.get("TFLM_ROOT"):
        return Check(
            "TFLM_ROOT",
            False,
            "not set",
            needed_for,
            "build TFLM's library (docs/tflm.md), then export TFLM_ROOT=/path/to/tflite-micro",
            optional=True,
        )
    try:
        found = tflm_libraries()
        check_compiler()
        for tflm in found:
            tflm.check()
    except TinyflowError as error:
        return Check("TFLM_ROOT", False, error.message, needed_for, error.hint, optional=True)
    return Check("TFLM_ROOT", True, ", ".join(map(str, found)), needed_for, "", optional=True)


def _cuda() -> Check:
    path = shutil.which("nvidia-smi")
    names = _said(path, "--query-gpu=name", "--format=csv,noheader").splitlines() if path else []
    return Check(
        "CUDA GPU",
        bool(names),
        ", ".join(names) or "none: training runs on the CPU",
        "faster training",
        "nothing to mend: the CPU does",
        optional=True,
    )
