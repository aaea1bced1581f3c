"""What every way of programming is given and gives back, and how a program of another project is run and understood."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyflow.artefacts import write_text
from tinyflow.board import Board
from tinyflow.deploy.artefact import Firmware
from tinyflow.deploy.flash.image import Image
from tinyflow.deploy.flash.probes import Probe
from tinyflow.errors import TinyflowError

SECONDS = 180.0  # a full 2 MiB takes about 60
LOG = "flash.log"


@dataclass(frozen=True)
class Job:
    """What is to be programmed, and through which probe (None where the system does not list USB devices)."""

    firmware: Firmware
    board: Board
    image: Image
    probe: Probe | None
    serial: str
    drive: Path | None = None  # the drag-and-drop drive's folder, where the user names it

    @property
    def log(self) -> Path:
        return self.firmware.folder / LOG


@dataclass(frozen=True)
class Programmed:
    """What a way reports. ``bytes``: written to the flash. ``note``: what the user should know, or ""."""

    bytes: int
    verified: bool  # read back and equal
    chip: str = ""
    flash_mode: str = ""
    note: str = ""


@dataclass(frozen=True)
class Failure:
    """What a line of a program's log means. ``said`` is searched for; ``{0}`` in the message is its first group."""

    said: str
    message: str
    hint: str


class ProgramFailed(TinyflowError):
    """``log``: all that the program said."""

    log = ""


def find_program(name: str, title: str, install: str) -> Path:
    """The program that the variable NAME names, else the one beside Python, else the one on PATH."""
    named = os.environ.get(name.upper(), "")
    found = shutil.which(
        named or name,
        path=None if named else os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
    )
    if not found:
        raise TinyflowError(
            f"{name.upper()}={named} is not a program" if named else f"{title} is not installed", install
        )
    return Path(found)


def ask(*arguments: str | Path) -> str:
    """All that a quick command prints; "" when it cannot run, fails or takes longer than 20 seconds."""
    try:
        result = subprocess.run(
            arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (result.stdout + result.stderr).strip() if result.returncode == 0 else ""


def run_program(
    title: str,
    arguments: Sequence[str],
    explain: Callable[[str], TinyflowError],
    on_line: Callable[[str], None] = lambda line: None,
    seconds: float | None = None,
    folder: Path | None = None,
) -> str:
    """Runs a program in ``folder``; its log, stdout and stderr as they came. on_line: called with each line as it
    comes.

    Errors: ProgramFailed when it fails (as ``explain`` understands its log) or takes longer than ``seconds``.
    """
    seconds = SECONDS if seconds is None else seconds
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=folder,
        start_new_session=True,  # a script's children end with it
    )
    late = threading.Event()

    def end() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def stop() -> None:
        late.set()
        end()

    watchdog = threading.Timer(seconds, stop)
    watchdog.start()
    lines: list[str] = []
    try:
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            on_line(lines[-1])
        status = process.wait()
    finally:
        watchdog.cancel()
        if process.poll() is None:
            end()
            process.wait()
        process.stdout.close()
    log = "\n".join(lines) + "\n"
    if late.is_set():
        raise failed(
            TinyflowError(
                f"{title} did not finish in {seconds:g} s{last_error(log)}",
                "plug the board in again, without a hub, and repeat",
            ),
            log,
        )
    if status != 0:
        raise failed(explain(log), log)
    return log


def understand(log: str, failures: Sequence[Failure], title: str, **facts: str) -> TinyflowError:
    """What a failed run's log means, and the way out, with ``facts`` filled into the hint."""
    for failure in failures:
        found = re.search(failure.said, log)
        if found:
            return TinyflowError(failure.message.format(*found.groups(), **facts), failure.hint.format(**facts))
    return TinyflowError(f"{title} failed{last_error(log)}", "its log says more")


def last_error(log: str) -> str:
    """The last line of ``log`` that looks like an error, else the last one, after a colon."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"Error:|\*\* |\d+ [CE] ", line)] or lines
    return f": {re.sub(r'^Error:|^[0-9]+ [CE]', '', errors[-1]).strip()}" if errors else ""


def failed(error: TinyflowError, log: str) -> ProgramFailed:
    wrapped = ProgramFailed(error.message, error.hint)
    wrapped.log = log
    return wrapped


def keep_log(job: Job, run: Callable[[], str]) -> str:
    """run()'s log, kept as flash.log beside the firmware whether it succeeds or fails; an error names it."""
    try:
        log = run()
    except ProgramFailed as error:
        write_text(job.log, error.log)
        raise TinyflowError(f"{error.message} (log: {job.log})", error.hint) from None
    write_text(job.log, log)
    return log
