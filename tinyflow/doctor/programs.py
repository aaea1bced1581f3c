"""Compilers, emulators, TFLM: what firmware is built with and run by."""

import os
import re
import shutil
from pathlib import Path

from tinyflow.board import Board, Qemu
from tinyflow.deploy.places.qemu import qemu_version
from tinyflow.deploy.places.renode import INSTALL, find_renode, renode_version
from tinyflow.deploy.tflm.library import check_compiler
from tinyflow.deploy.tflm.library import libraries as tflm_libraries
from tinyflow.doctor.checks import APT, Check, first_line, said
from tinyflow.errors import TinyflowError


def host_compiler() -> Check:
    path = shutil.which(os.environ.get("CC") or "cc")
    return Check(
        "host C compiler",
        bool(path),
        first_line(said(path, "--version")) if path else "not found",
        "compile (front end), board host",
        APT + "gcc libc6-dev",
    )


def arm_compiler() -> Check:
    name, mend = "arm-none-eabi-gcc with newlib-nano", APT + "gcc-arm-none-eabi libnewlib-arm-none-eabi"
    path = shutil.which("arm-none-eabi-gcc")
    if not path:
        return Check(name, False, "not found", "build for Cortex-M", mend)
    library = said(path, "-print-file-name=libc_nano.a")
    complete = Path(library).is_absolute() and Path(library).is_file()  # gcc answers the bare name when it has none
    return Check(
        name,
        complete,
        first_line(said(path, "--version")) + ("" if complete else ", but no libc_nano.a (newlib)"),
        "build for Cortex-M",
        mend,
    )


def qemu(board: Board) -> Check:
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
    has = re.search(rf"^{re.escape(board.qemu.machine)}\s", said(path, "-machine", "help"), re.M)
    return Check(
        name,
        bool(has),
        found + ("" if has else f" without the machine {board.qemu.machine}"),
        f"run on {board.name}",
        mend,
    )


def renode(boards: list[Board]) -> Check:
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


def tflm() -> Check:
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
