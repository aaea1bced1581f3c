"""OpenOCD: finding it, running it with a time limit, and saying in plain words what its log means."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyflow.errors import TinyflowError

INSTALL = "sudo apt-get install openocd (0.12 or later), or name it: OPENOCD=/path/to/openocd"


@dataclass(frozen=True)
class Failure:
    """What a line of OpenOCD's log means. ``said`` is searched for; ``{0}`` in the message is its first group."""

    said: str
    message: str
    hint: str


# The first that is found in the log counts, so the cause stands before its consequences.
FAILURES: tuple[Failure, ...] = (
    Failure(
        r"LIBUSB_ERROR_ACCESS",
        "no permission to open the probe (LIBUSB_ERROR_ACCESS)",
        "add the udev rule of docs/flash.md, then plug the board in again",
    ),
    Failure(
        r"LIBUSB_ERROR_BUSY|the selected device is already used",
        "another program holds the probe",
        "close the other OpenOCD, debugger or IDE",
    ),
    Failure(
        r"(LIBUSB_ERROR_(?:NO_DEVICE|IO|PIPE|TIMEOUT|OTHER))|read version failed",
        "the probe stopped answering on USB",
        "plug the board in again, without a hub; update the ST-LINK firmware if it happens again",
    ),
    Failure(
        r"open failed|No device matches|no ST-LINK detected|no device found|mismatch\)",
        "OpenOCD does not find the probe",
        "plug the board's ST-LINK USB in (CN1 on a Nucleo-144); `lsusb` shows it as 0483:374b, 374e, 374f, 3752 or 3753",
    ),
    Failure(
        r"Can't find ((?:interface|target)/\S+)",
        "this OpenOCD has no script {0}",
        INSTALL,
    ),
    Failure(
        r"invalid command name \"([^\"]+)\"",
        "this OpenOCD does not know the command {0!r}",
        INSTALL,
    ),
    Failure(
        r"wrong chip: ([^\n]+)",
        "the probe is connected to another chip: {0}",
        "choose the right board (`tinyflow boards`), or the right probe (--probe)",
    ),
    Failure(
        r"UNEXPECTED idcode: (0x[0-9a-f]+)",
        "the probe is connected to another core: its debug port says {0}, not a Cortex-M4's",
        "choose the right board (`tinyflow boards`), or the right probe (--probe)",
    ),
    Failure(
        r"Cannot identify target as an? ([^\n]+?) family device",
        "the chip is not one of {0}",
        "choose the right board (`tinyflow boards`), or the right probe (--probe)",
    ),
    Failure(
        r"RDP level (?:1|2|0\.5) \((0x[0-9A-F]+)\)|stm32x device protected",
        "the chip is locked by its read-out protection (RDP)",
        "unlocking erases the whole flash: openocd -f {config} -c \"init; reset halt; stm32l4x unlock 0; reset halt; shutdown\", "
        "then take the power off and on (level 2, 0xCC, can never be unlocked)",
    ),
    Failure(
        r"flash memory write protected|WRPERR",
        "sectors of the flash are write-protected by option bytes",
        "lift it: openocd -f {config} -c \"init; reset halt; flash protect 0 0 last off; shutdown\"",
    ),
    Failure(
        r"checksum mismatch|Verify Failed",
        "what was read back differs from the image (verify mismatch)",
        "flash again; if it stays, lower `adapter speed` in {config} and use a shorter cable; else the flash is worn",
    ),
    Failure(
        r"Target voltage: 0\.\d+|target voltage may be too low",
        "the probe answers but the chip has no power",
        "check the board's power-source and IDD jumpers",
    ),
    Failure(
        r"init mode failed|cannot read IDR|unable to connect to the target|Unable to reset target|Target not examined|"
        r"timed out while waiting for target|Target not halted",
        "the probe answers but the chip does not, even held in reset",
        "check the board's ST-LINK jumpers (closed for its own chip) and that nothing holds NRST; plug the board in again",
    ),
    Failure(
        r"timed out waiting for flash|flash write algorithm|block write failed|failed erasing|Programming Failed",
        "the flash could not be written",
        "plug the board in again and repeat; the log says which step failed",
    ),
)


def find_openocd() -> Path:
    """The program named by OPENOCD, else the one on PATH."""
    named = os.environ.get("OPENOCD", "")
    found = shutil.which(named or "openocd")
    if not found:
        raise TinyflowError(f"OPENOCD={named} is not a program" if named else "OpenOCD is not installed", INSTALL)
    return Path(found)


def run_openocd(
    config: Path, commands: Sequence[str], seconds: float, on_line: Callable[[str], None] = lambda line: None
) -> str:
    """Runs ``commands`` after ``config``; its log. No server ports are opened, so another OpenOCD is not in the way.

    on_line: called with each line as it comes. Errors: TinyflowError when it fails or takes longer than ``seconds``;
    the exception's ``log`` holds everything OpenOCD said.
    """
    program = find_openocd()
    ports = "gdb_port disabled; telnet_port disabled; tcl_port disabled"
    arguments = [str(program), "-f", str(config), *(part for command in (ports, *commands) for part in ("-c", command))]
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    late = threading.Event()

    def stop() -> None:
        late.set()
        process.kill()

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
        process.kill()
        process.wait()
        process.stdout.close()
    log = "\n".join(lines) + "\n"
    if late.is_set():
        raise _failed(TinyflowError(f"OpenOCD did not finish in {seconds:g} s{_last_error(log)}", "plug the board in again, without a hub, and repeat"), log)
    if status != 0:
        raise _failed(explain(log, config), log)
    return log


def explain(log: str, config: Path | str = "openocd.cfg") -> TinyflowError:
    """What a failed run's log means, and the way out."""
    for failure in FAILURES:
        found = re.search(failure.said, log)
        if found:
            return TinyflowError(failure.message.format(*found.groups()), failure.hint.format(config=config))
    return TinyflowError(f"OpenOCD failed{_last_error(log)}", "its log says more")


def _last_error(log: str) -> str:
    errors = [line for line in log.splitlines() if line.startswith(("Error:", "** "))]
    return f": {errors[-1].removeprefix('Error:').strip()}" if errors else ""


def _failed(error: TinyflowError, log: str) -> TinyflowError:
    error.log = log
    return error
