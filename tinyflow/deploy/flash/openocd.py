"""Through OpenOCD: its commands, and what its log means."""

import re
from pathlib import Path

from tinyflow.board import Chip
from tinyflow.deploy.flash.probes import check_permission
from tinyflow.deploy.flash.way import Failure, Job, Programmed, ask, find_program, keep_log, run_program, understand
from tinyflow.errors import TinyflowError
from tinyflow.progress import Progress, silent

TITLE = "OpenOCD"
INSTALL = "sudo apt-get install openocd (0.12 or later), or name it: OPENOCD=/path/to/openocd"
OLDEST = (0, 12)  # read_memory, the scripts' names

# The first that is found in the log counts, so the cause stands before its consequences. The wording is OpenOCD 0.12's:
# src/jtag/drivers/{libusb_helper,stlink_usb,jlink}.c, src/jtag/core.c, src/flash/nor/{stm32l4x,stm32f2x}.c,
# src/target/{target,cortex_m,arm_adi_v5}.c, src/flash/startup.tcl, tcl/target/nrf52.cfg.
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
        "plug the board in again, without a hub; update the probe's own firmware if it happens again",
    ),
    Failure(
        r"open failed|No device matches|no ST-LINK detected|[Nn]o (?:J-Link )?device found|mismatch\)",
        "OpenOCD does not find the probe",
        "connect {socket} with a data cable; `lsusb` shows it as {usb_ids}",
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
        "the probe is connected to another core: its debug port says {0}",
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
        'unlocking erases the whole flash: openocd -f {config} -c "init; reset halt; stm32l4x unlock 0; reset halt;'
        ' shutdown" (STM32F4: stm32f2x), then take the power off and on (level 2, 0xCC, can never be unlocked)',
    ),
    Failure(
        r"AP lock engaged",
        "the chip is locked by its access port protection (APPROTECT)",
        'unlocking erases the whole flash: openocd -f {config} -c "init; nrf52_recover; shutdown"',
    ),
    Failure(
        r"flash memory write protected|WRPERR",
        "sectors of the flash are write-protected by option bytes",
        'lift it: openocd -f {config} -c "init; reset halt; flash protect 0 0 last off; shutdown"',
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
        r"timed out while waiting for target|Target not halted|read_memory: read at",
        "the probe answers but the chip does not, even held in reset",
        "check the board's debug jumpers (closed for its own chip) and that nothing holds NRST; plug the board in"
        " again",
    ),
    Failure(
        r"timed out waiting for flash|flash write algorithm|block write failed|failed erasing|Programming Failed",
        "the flash could not be written",
        "plug the board in again and repeat; the log says which step failed",
    ),
)


def config(job: Job) -> Path:
    return Path(job.board.folder, job.board.probe.openocd.config)


def find(job: Job) -> str:
    """OpenOCD and its version. TinyflowError: why it cannot be used for ``job``."""
    if job.board.probe.openocd is None:
        raise TinyflowError(f"board.yaml of {job.board.name} has no probe.openocd", "docs/boards.md lists the keys")
    if not config(job).is_file():
        raise TinyflowError(
            f"{config(job)} does not exist", "board.yaml's probe.openocd.config names a file in the board's folder"
        )
    program = find_program("openocd", TITLE, INSTALL)
    if job.probe:
        check_permission(job.probe)
    version = re.search(r"Debugger (\d+)\.(\d+)(\S*)", ask(program, "--version"))
    if version is None:
        raise TinyflowError(f"{program} does not say its version", INSTALL)
    if (int(version[1]), int(version[2])) < OLDEST:
        raise TinyflowError(f"OpenOCD {version[1]}.{version[2]} is too old", INSTALL)
    if any(character in str(job.firmware.elf.resolve()) for character in "{}\\"):
        raise TinyflowError(
            f"{job.firmware.elf.resolve()}: OpenOCD cannot take a path with braces or backslashes",
            "move the run folder",
        )
    return f"{TITLE} {version[1]}.{version[2]}{version[3]}"


def commands(job: Job) -> list[str]:
    """`program` erases the sectors it writes; option bytes are never touched. No ports: another OpenOCD is not in the
    way.
    """
    return [
        "gdb_port disabled; telnet_port disabled; tcl_port disabled",
        *([f"adapter serial {{{job.serial}}}"] if job.serial else []),
        "init; reset init",
        *([check_chip(job.board.probe.chip)] if job.board.probe.chip else []),
        f"program {{{job.firmware.elf.resolve()}}} verify reset exit",
    ]


def check_chip(chip: Chip) -> str:
    """Tcl that ends OpenOCD with "wrong chip: ..." unless ``chip`` is connected."""
    return (
        f"set word [read_memory {chip.address:#010x} 32 1]; "
        f"if {{[lsearch {{{' '.join(map(str, chip.values))}}} [expr {{$word & {chip.mask:#x}}}]] < 0}} "
        f"{{error [format {{wrong chip: 0x%08x at {chip.address:#010x} is not {chip.name}}} $word]}}"
    )


def run_openocd(job: Job, lines: list[str], progress: Progress = silent, seconds: float | None = None) -> str:
    """OpenOCD's log of ``lines`` after the board's config. Errors: ProgramFailed, in plain words."""

    def show(line: str) -> None:
        if line.startswith("** "):
            progress("flash", 0, 0, line.strip("* "))

    program = find_program("openocd", TITLE, INSTALL)
    arguments = [str(program), "-f", str(config(job)), *(part for line in lines for part in ("-c", line))]
    return run_program(TITLE, arguments, lambda log: explain(log, job), show, seconds)


def explain(log: str, job: Job) -> TinyflowError:
    probe = job.board.probe
    return understand(
        log, FAILURES, TITLE, config=str(config(job)), socket=probe.socket, usb_ids=", ".join(probe.usb_ids)
    )


def program(job: Job, progress: Progress = silent) -> Programmed:
    """Programs, reads back, resets."""
    log = keep_log(job, lambda: run_openocd(job, commands(job), progress))
    if "** Verified OK **" not in log:
        raise TinyflowError("OpenOCD ended without an error but did not write and verify", f"see {job.log}")
    return Programmed(
        len(job.image.data), True, _search(r"device idcode = (.+)", log), _search(r"flash mode : (\S+)", log)
    )


def _search(pattern: str, log: str) -> str:
    found = re.search(pattern, log)
    return found[1].strip() if found else ""
