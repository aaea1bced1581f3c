"""Through pyOCD's commander: its commands, and what it says when it fails. It does not verify by itself: `compare`
does.
"""

import json
import re

from tinyflow.artefacts import write_bytes
from tinyflow.deploy.flash.probes import check_permission
from tinyflow.deploy.flash.way import (
    Failure,
    Job,
    ProgramFailed,
    Programmed,
    ask,
    failed,
    find_program,
    keep_log,
    run_program,
    understand,
)
from tinyflow.errors import TinyflowError
from tinyflow.progress import Progress, silent

TITLE = "pyOCD"
INSTALL = "python -m pip install pyocd==0.46.0, or name it: PYOCD=/path/to/pyocd"
BIN = "firmware.bin"
# Commander's defaults are these, `pyocd flash` has others: it unlocks a locked chip by erasing all of it, unasked.
OPTIONS = ("auto_unlock=false", "chip_erase=sector", "resume_on_disconnect=true", "debug.traceback=true")

# The wording is pyOCD 0.46's: core/{helpers,exceptions}.py, board/board.py, probe/stlink/{usb,stlink,constants}.py,
# probe/common.py, commands/commander.py, commands/commands.py, flash/{flash,loader}.py, target/family/target_nRF52.py.
FAILURES: tuple[Failure, ...] = (
    Failure(
        r"insufficient permissions",
        "no permission to open the probe (Errno 13)",
        "add the udev rule of docs/flash.md, then plug the board in again",
    ),
    Failure(
        r"Resource busy",
        "another program holds the probe",
        "close the other debugger or IDE",
    ),
    Failure(
        r"no libusb library was found",
        "pyOCD has no libusb",
        "python -m pip install libusb-package, or sudo apt-get install libusb-1.0-0",
    ),
    Failure(
        r"[Nn]o connected debug probe|More than one debug probe matches",
        "pyOCD does not find the probe",
        "connect {socket} with a data cable; `lsusb` shows it as {usb_ids}",
    ),
    Failure(
        r"USB Error: |incomplete command response",
        "the probe stopped answering on USB",
        "plug the board in again, without a hub; update the probe's own firmware if it happens again",
    ),
    Failure(
        r"Target type (\S+) not recognized",
        "pyOCD does not know the chip {0}",
        "pyocd pack install {pack}",
    ),
    Failure(
        r"unrecognized arguments|invalid choice|unrecognized command|unknown session option",
        "this pyOCD does not know what it is asked",
        INSTALL,
    ),
    Failure(
        r"older firmware version|firmware does not support",
        "the probe's own firmware is too old for pyOCD",
        "update it with ST's STSW-LINK007, or use OpenOCD",
    ),
    Failure(
        r"wrong chip: ([^\n]+)",
        "the probe is connected to another chip: {0}",
        "choose the right board (`tinyflow boards`), or the right probe (--probe)",
    ),
    Failure(
        r"APPROTECT enabled|Target is locked",
        "the chip is locked by its access port protection (APPROTECT)",
        "unlocking erases the whole flash: pyocd commander -t {target} -c unlock",
    ),
    Failure(
        r"Mismatched byte at (0x[0-9a-f]+)",
        "what was read back differs from the image at {0} (verify mismatch)",
        "flash again; if it stays, use a shorter cable; else the flash is worn or write-protected",
    ),
    Failure(
        r"no memory region defined for address (0x[0-9a-f]+)|memory region at address (0x[0-9a-f]+)",
        "pyOCD's {target} has no flash where the image belongs",
        "board.yaml's probe.pyocd.target names another chip than the board's",
    ),
    Failure(
        r"flash (?:init|uninit|erase|program|algorithm|sequence)",
        "the flash could not be written",
        "plug the board in again and repeat; the log says which step failed; sectors may be write-protected by option"
        " bytes",
    ),
    Failure(
        r"Memory transfer fault|TransferFaultError",
        "the chip refuses access to its memory: locked by its read-out protection (RDP), most likely",
        "OpenOCD says for certain, and how to unlock (which erases the whole flash): tinyflow flash --with openocd",
    ),
    Failure(
        r"STLink error \((?:5|9|20|16)\)|No cores were discovered|Failed to halt device|TransferTimeoutError|"
        r"Timeout|memory transfer failed|No ACK|unable to connect",
        "the probe answers but the chip does not",
        "check the board's power and debug jumpers, and that nothing holds NRST; plug the board in again",
    ),
)


def find(job: Job) -> str:
    """pyOCD and its version. TinyflowError: why it cannot be used for ``job``."""
    chip = job.board.probe.pyocd
    if chip is None:
        raise TinyflowError(f"board.yaml of {job.board.name} has no probe.pyocd", "docs/boards.md lists the keys")
    program = find_program("pyocd", TITLE, INSTALL)
    if job.probe:
        check_permission(job.probe)
    try:
        said = json.loads(ask(program, "json", "--targets", "--no-config"))
        version, targets = said["pyocd_version"], {target["name"] for target in said["targets"]}
    except (json.JSONDecodeError, KeyError, TypeError):
        raise TinyflowError(f"{program} does not list the chips it knows", INSTALL) from None
    if chip.target not in targets:
        raise TinyflowError(
            f"pyOCD {version} does not know the chip {chip.target}"
            + (": its CMSIS-Pack is not installed" if chip.pack else ""),
            f"pyocd pack install {chip.pack or chip.target}",
        )
    return f"{TITLE} {version}"


def run_pyocd(job: Job, lines: list[str], progress: Progress = silent) -> str:
    """Commander's log of ``lines``, run in the firmware's folder. Errors: ProgramFailed, in plain words."""

    def show(line: str) -> None:
        found = re.search(r" I (\w+)\.\.\. ", line)
        if found:
            progress("flash", 0, 0, found[1])

    chip = job.board.probe.pyocd
    arguments = [
        str(find_program("pyocd", TITLE, INSTALL)),
        "commander",
        "--no-wait",
        "--no-config",
        "--color",
        "never",
    ]
    arguments += ["-L", "pyocd.flash.loader=info", "-t", chip.target, "-M", chip.connect]
    # pyOCD looks for the text anywhere in a probe's serial number, and writes a J-Link's without leading zeros.
    arguments += ["-u", job.serial.lstrip("0")] if job.serial else []
    arguments += [part for option in OPTIONS for part in ("-O", option)]
    arguments += [part for line in lines for part in ("-c", line)]
    return run_program(TITLE, arguments, lambda log: explain(log, job), show, folder=job.firmware.folder)


def explain(log: str, job: Job) -> TinyflowError:
    probe = job.board.probe
    # without the lines of code of a traceback
    log = "\n".join(line for line in log.splitlines() if not line.startswith(" "))
    facts = {
        "target": probe.pyocd.target,
        "pack": probe.pyocd.pack or probe.pyocd.target,
        "socket": probe.socket,
        "usb_ids": ", ".join(probe.usb_ids),
    }
    return understand(log, FAILURES, TITLE, **facts)


def program(job: Job, progress: Progress = silent) -> Programmed:
    """Looks at the chip, then programs the sectors that differ, reads all back, resets."""
    write_bytes(job.firmware.folder / BIN, job.image.data)
    image = f"{job.image.address:#010x}"
    word = 0

    def run() -> str:
        nonlocal word
        chip, log = job.board.probe.chip, ""
        if chip:
            log = run_pyocd(job, ["reset halt", f"read32 {chip.address:#010x}"], progress)
            found = re.search(rf"^{chip.address:08x}:\s+([0-9a-f]{{8}})\b", log, re.M)
            if not found:
                raise failed(explain(log, job), log)
            word = int(found[1], 16)
            if word & chip.mask not in chip.values:
                log += f"wrong chip: {word:#010x} at {chip.address:#010x} is not {chip.name}\n"
                raise failed(explain(log, job), log)
        try:
            log += run_pyocd(job, ["reset halt", f"load {BIN} {image}", f"compare {image} {BIN}", "reset"], progress)
        except ProgramFailed as error:
            error.log = log + error.log
            raise
        if "Mismatched byte" in log or "Failed to halt" in log:  # pyOCD's exit status is 0 all the same
            raise failed(explain(log, job), log)
        return log

    log = keep_log(job, run)
    if f"All {len(job.image.data)} bytes match." not in log:
        raise TinyflowError("pyOCD ended without an error but did not write and verify", f"see {job.log}")
    return Programmed(len(job.image.data), True, f"{word:#010x}" if word else "")
