"""QEMU: the emulated MCU, deterministic and counting instructions (-icount), its UART on our pipes."""

import re
import shutil
import subprocess

from tinyflow.board import Board
from tinyflow.deploy.artefact import Firmware
from tinyflow.deploy.places.process import ProcessTransport
from tinyflow.errors import TinyflowError

PROGRAM = "qemu-system-arm"
BOOT_SECONDS = 5.0


def qemu_version(program: str = PROGRAM) -> tuple[int, ...]:
    """QEMU's version, (7, 2, 22). TinyflowError when it is absent or will not say."""
    path = shutil.which(program)
    if path is None:
        raise TinyflowError(f"{program} is not installed", "run `make setup` (Debian: apt-get install qemu-system-arm)")
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TinyflowError(
            f"{path} --version failed: {error}", "run `make setup`, or reinstall qemu-system-arm"
        ) from None
    found = re.search(r"version (\d+(?:\.\d+)*)", said)
    if not found:
        raise TinyflowError(f"{path} --version said {said.strip()!r}", "run `make setup`, or reinstall qemu-system-arm")
    return tuple(map(int, found[1].split(".")))


def qemu_command(firmware: Firmware, board: Board) -> list[str]:
    """The command line for ``firmware`` on ``board``; checks that QEMU is there and new enough."""
    if board.qemu is None:
        raise TinyflowError(
            f"board {board.name} has no emulator", "use a board with `qemu:` in its board.yaml, such as mps2-an386"
        )
    version = qemu_version()
    if not board.qemu.takes(version):
        raise TinyflowError(
            f"{PROGRAM} is {'.'.join(map(str, version))}; board {board.name} needs {board.qemu.minimum_version}",
            "run `make setup` (on Debian 12 it takes QEMU from backports), or choose another board (`tinyflow boards`)",
        )
    if not firmware.elf.is_file():
        raise TinyflowError(f"{firmware.elf} does not exist", f"tinyflow build --board {board.name}")
    # sleep=off: virtual time jumps when the core waits, and the UART is twice as fast.
    return [
        PROGRAM, "-M", board.qemu.machine, *board.qemu.arguments,
        "-icount", f"shift={board.qemu.icount_shift},align=off,sleep=off",
        "-nodefaults", "-display", "none", "-monitor", "none", "-no-reboot",
        "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
        "-kernel", str(firmware.elf.resolve()),
    ]  # fmt: skip


class QemuTransport(ProcessTransport):
    """The first line waits (not for ever) for the firmware's first word: a USART drops what comes
    before it is enabled.
    """

    _spoke = False

    def write(self, data: bytes) -> None:
        if not self._spoke:
            self._selector.select(BOOT_SECONDS)
            self._spoke = True
        super().write(data)


def start_qemu(firmware: Firmware, board: Board) -> ProcessTransport:
    return QemuTransport(f"QEMU ({board.qemu.machine if board.qemu else board.name})", qemu_command(firmware, board))
