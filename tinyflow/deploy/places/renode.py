"""Renode: the emulated board, its peripherals as a platform file describes them, its console on our pipes.

renode_start.py runs inside Renode and builds the machine; renode_counter.repl makes DWT count executed instructions.
"""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from tinyflow.board import Board
from tinyflow.deploy.artefact import Firmware
from tinyflow.deploy.places.process import ProcessTransport
from tinyflow.errors import TinyflowError

HERE = Path(__file__).resolve().parent
INSTALL = (
    "install Renode (its portable release needs nothing else) and put it on PATH, or export RENODE=/path/to/renode"
)
START_SECONDS = 120.0  # of wall time until the machine stands
ANSWER_SECONDS = 30.0  # of virtual time from one line of the firmware to the next
BEHIND_A_SCRIPT = "exit status 137; stderr: "  # 128 and the signal


def find_renode() -> str:
    """Renode's program: $RENODE, else on PATH. TinyflowError when there is none."""
    wanted = os.environ.get("RENODE")
    path = shutil.which(wanted or "renode")
    if path is None:
        raise TinyflowError(f"RENODE={wanted} is not a program" if wanted else "Renode is not installed", INSTALL)
    return path


def parse_version(said: str) -> tuple[int, ...]:
    """(1, 15, 3) of "Renode v1.15.3.5846"; older ones write "Renode, version 1.9.0.28176". TinyflowError when it is
    neither.
    """
    found = re.search(r"Renode,?\s+(?:version )?v?(\d+)\.(\d+)\.(\d+)", said)
    if not found:
        raise TinyflowError(f"Renode does not say its version: {said.strip()[-300:]!r}", INSTALL)
    return int(found[1]), int(found[2]), int(found[3])


def renode_version() -> tuple[int, ...]:
    """Renode's version, (1, 15, 3). TinyflowError when it is absent or will not say."""
    path = find_renode()
    try:
        result = subprocess.run(
            [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TinyflowError(f"{path} --version failed: {error}", INSTALL) from None
    return parse_version(result.stdout + result.stderr)


def known_flaw() -> str:
    """What this Renode is known to compute wrongly; empty: nothing that firmware of ours meets."""
    if renode_version() < (1, 16):
        return (
            "Renode before 1.16 sets the GE flags of SSUB8 wrongly, which max pooling and clamps on a core with DSP"
            " extension read: use 1.16 or newer"
        )
    return ""


def renode_command() -> list[str]:
    # A port below -1 keeps the monitor off every socket: without --port Renode would listen on 1234, one of them only.
    script = str(HERE / "renode_start.py").replace(" ", "\\ ")
    return [find_renode(), "--disable-xwt", "--hide-log", "--plain", "--port", "-2", "-e", f"include @{script}"]


def renode_environment(firmware: Firmware, board: Board, seconds: float) -> dict[str, str]:
    """What renode_start.py is told."""
    platform = board.renode.platform
    if not platform.startswith("@"):
        platform = str(Path(board.folder, platform))
        if not Path(platform).is_file():
            raise TinyflowError(
                f"{platform} does not exist",
                f"renode.platform of {board.folder}/board.yaml names a file beside it, or one of Renode's:"
                " @platforms/...",
            )
    settings = {
        "BOARD": board.name,
        "PLATFORM": platform.removeprefix("@"),
        "COUNTER": str(HERE / "renode_counter.repl"),
        "UART": board.renode.uart,
        "ELF": str(firmware.elf.resolve()),
        "MIPS": str(max(1, board.clock_hz // 10**6)),
        "SECONDS": str(seconds),
    }
    return {f"TINYFLOW_{name}": value for name, value in settings.items()}


class RenodeTransport(ProcessTransport):
    """A machine of Renode's whose console is our pipe."""

    def __init__(self, board: Board, command: list[str], environment: dict[str, str]):
        super().__init__(f"Renode ({board.name})", command, environment)
        self._early = b""

    def line(self, deadline: float) -> str:
        """The next line of stdout, "" when it does not come. EOFError when Renode has ended."""
        while b"\n" not in self._early and time.monotonic() < deadline:
            self._early += super().read(1.0)
        line, found, rest = self._early.partition(b"\n")
        self._early = rest if found else self._early
        return line.decode(errors="replace").strip() if found else ""

    def read(self, seconds: float) -> bytes:
        early, self._early = self._early, b""
        return early or super().read(seconds)

    def post_mortem(self) -> str:
        # renode_start.py's own way to end, once it has said why; a script that started Renode, such as its own, passes
        # the signal on as its status and adds a line about it
        said = super().post_mortem()
        if said.startswith(BEHIND_A_SCRIPT):
            said = re.sub(r"\n.*\bKilled\b.*\Z", "", said.removeprefix(BEHIND_A_SCRIPT))
        return said.removeprefix("killed by signal 9; stderr: ")

    def log(self) -> str:
        """The tail of Renode's log."""
        path = Path(self._folder.name, "renode.log")
        return path.read_text(errors="replace")[-2000:].strip() if path.is_file() else ""


def start_renode(firmware: Firmware, board: Board, seconds: float = ANSWER_SECONDS) -> RenodeTransport:
    """``firmware`` on Renode's machine of ``board``, running. seconds: of virtual time that may pass before an owed
    line.

    Errors: no Renode, one that is too old, a platform that it does not load, no machine in time.
    """
    if board.renode is None:
        raise TinyflowError(
            f"board {board.name} does not run under Renode",
            "use a board with `renode:` in its board.yaml, such as nucleo-l4r5zi",
        )
    if not firmware.elf.is_file():
        raise TinyflowError(f"{firmware.elf} does not exist", f"tinyflow build --board {board.name}")
    try:
        command = renode_command()
    except TinyflowError as error:
        plug = f"; or connect {board.probe.socket}" if board.real else ""
        raise TinyflowError(f"board {board.name} runs under Renode here: {error.message}", error.hint + plug) from None
    transport = RenodeTransport(board, command, renode_environment(firmware, board, seconds))
    try:
        _await_machine(transport, board, time.monotonic() + START_SECONDS)
    except BaseException:
        transport.close()
        raise
    return transport


def _await_machine(transport: RenodeTransport, board: Board, deadline: float) -> None:
    said: list[str] = []
    version: tuple[int, ...] = ()
    try:
        while not said or said[-1] != "machine":
            line = transport.line(deadline)
            if not line and time.monotonic() >= deadline:
                log = transport.log()
                raise TinyflowError(
                    f"Renode built no machine of {board.name} in {START_SECONDS:g} s; its log: {log or 'empty'}",
                    "try it by hand: docs/renode.md",
                )
            said.append(line)
            if not version and line.startswith("Renode"):
                version = parse_version(line)
                if not board.renode.takes(version):
                    raise TinyflowError(
                        f"Renode is {_text(version)}; board {board.name} needs {board.renode.minimum_version}",
                        "install a newer Renode",
                    )
                transport.name = f"Renode {_text(version)} ({board.name})"
    except EOFError:
        reason = "; ".join(
            text for text in (transport.post_mortem(), *said[-3:]) if text and not text.startswith("Renode")
        )
        what = f"does not load the machine of {board.name}" if version else "did not start"
        raise TinyflowError(
            f"{transport.name} {what}: {reason}", "docs/renode.md: what a platform needs" if version else INSTALL
        ) from None


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
