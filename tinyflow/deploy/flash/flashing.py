"""flash: choose the way, program, reset, hear the firmware say hello."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tinyflow.board import Board
from tinyflow.deploy.artefact import Firmware
from tinyflow.deploy.flash import confirm as hello
from tinyflow.deploy.flash import mass_storage, openocd, pyocd
from tinyflow.deploy.flash.image import read_image
from tinyflow.deploy.flash.probes import Probe, choose_probe, list_probes, may_be
from tinyflow.deploy.flash.way import Job
from tinyflow.deploy.places.place import Place
from tinyflow.errors import TinyflowError
from tinyflow.progress import Progress, silent

# The best first: OpenOCD reads back and knows every chip here; pyOCD may need a pack; a drive cannot be read back.
WAYS: dict[str, ModuleType] = {"openocd": openocd, "pyocd": pyocd, "mass-storage": mass_storage}


@dataclass(frozen=True)
class Plan:
    """What flash() will do. ``tool``: the program and its version, or the drive. ``why``: why this way."""

    job: Job
    way: str
    tool: str
    why: str
    console: str  # serial port; "" when hello is not waited for

    def said(self) -> "PlanSaid":
        job = self.job
        return PlanSaid(
            board=job.board.name,
            way=self.way,
            tool=self.tool,
            why=self.why,
            probe=job.serial,
            bytes=len(job.image.data),
            address=job.image.address,
            build=job.firmware.build_id,
            console=self.console,
        )


@dataclass(frozen=True)
class PlanSaid:
    """A plan, as people and --json see it."""

    board: str
    way: str  # openocd, pyocd, mass-storage
    tool: str  # the program and its version, or the drive
    why: str  # this way
    probe: str  # serial number; "" where none is known
    bytes: int  # that are written to the flash
    address: int
    build: str  # what the firmware's hello says
    console: str  # serial port; "" when hello is not waited for


@dataclass(frozen=True)
class Flashed(PlanSaid):
    """What was programmed."""

    seconds: float
    verified: bool  # read back and equal
    chip: str  # as it says it is; "" where it was not asked
    flash_mode: str
    log: str  # file of what OpenOCD or pyOCD said; "" for a drive
    confirmed: bool  # the build said hello
    note: str  # a warning, or ""


def make_plan(
    firmware: Firmware,
    place: Place,
    probe: str | None = None,
    way: str | None = None,
    drive: Path | None = None,
    wait: bool = True,
) -> Plan:
    """Everything that can be known before the chip is touched; most that can be wrong is found here.

    probe: a serial number (or its beginning), needed when several probes are plugged in. way: one of WAYS; None: the
    first that can be used. drive: folder of the probe's drag-and-drop drive, where it is not found by itself.
    wait: for the firmware's hello. Errors: TinyflowError; where no way can be used, each one's reason.
    """
    board = place.board
    if firmware.board != board.name:
        raise TinyflowError(
            f"{firmware.elf} was built for {firmware.board}, not {board.name}", f"tinyflow build --board {board.name}"
        )
    firmware.check()
    chosen = find_probe(board, probe, drive)
    serial = chosen.serial if chosen else (probe or "")
    job = Job(firmware, board, read_image(firmware.elf, board), chosen, serial, drive)
    name, tool, why = choose_way(job, way or ("mass-storage" if drive else None))
    return Plan(job, name, tool, why, hello.find_console(place, serial) if wait else "")


def find_probe(board: Board, serial: str | None = None, drive: Path | None = None) -> Probe | None:
    """The probe that is meant; None where the system does not list USB devices, or only the drive is at hand.

    Errors: a board that does not exist to plug in; no such probe; several; another board's.
    """
    if board.probe is None:
        place = "this machine" if board.core.compiler == "host" else "emulated"
        raise TinyflowError(f"{board.name} cannot be flashed: it is {place}", f"tinyflow run --board {board.name}")
    probes = list_probes(board)
    there = bool(probes) if serial else any(may_be(board, probe) for probe in probes)
    return choose_probe(board, serial, probes) if sys.platform == "linux" and (there or not drive) else None


def choose_way(job: Job, wanted: str | None) -> tuple[str, str, str]:
    """(name, tool, why) of the way that was asked for, else of the first that can be used."""
    if wanted:
        return wanted, WAYS[wanted].find(job), "asked for"
    refused: dict[str, TinyflowError] = {}
    for name, way in WAYS.items():
        try:
            tool = way.find(job)
        except TinyflowError as error:
            refused[name] = error
            continue
        return (
            name,
            tool,
            "; ".join(f"{other}: {error.message}" for other, error in refused.items()) or "the first choice",
        )
    hints: dict[str, str] = {}
    for name, refusal in refused.items():
        hints.setdefault(refusal.hint, name)  # the same one (a udev rule, say) only once
    raise TinyflowError(
        f"nothing here can program {job.board.name}: "
        + "; ".join(f"{name}: {error.message}" for name, error in refused.items()),
        "; ".join(f"{name}: {hint}" for hint, name in hints.items()),
    )


def flash(plan: Plan, progress: Progress = silent) -> Flashed:
    """Programs, verifies where the way can, resets, and waits for the hello of the very build that was programmed.

    Option bytes (dual bank, protection) are left as they are, and only sectors that are written are erased. The log of
    OpenOCD or pyOCD is kept as flash.log beside the firmware.
    """
    job = plan.job
    progress("flash", 0, 0, f"{job.board.name} through {plan.tool} ({plan.why})")
    start = time.monotonic()
    done = WAYS[plan.way].program(job, progress)
    facts: dict[str, Any] = vars(plan.said()) | {
        "bytes": done.bytes,
        "seconds": round(time.monotonic() - start, 2),
        "verified": done.verified,
        "chip": done.chip,
        "flash_mode": done.flash_mode,
        "log": "" if plan.way == "mass-storage" else str(job.log),
    }
    if not plan.console:
        notes = ("not confirmed: hello was not waited for", done.note)
        return Flashed(**facts, confirmed=False, note="; ".join(filter(None, notes)))
    progress("flash", 0, 0, "waiting for the firmware's hello")
    try:
        warning = hello.confirm(
            job.firmware, job.board, plan.console, hello.AGAIN_SECONDS if done.verified else mass_storage.SETTLE_SECONDS
        )
    except TinyflowError as error:
        how = "programmed and verified" if done.verified else "copied to the drive"
        raise TinyflowError(f"{how}, but not confirmed on {plan.console}: {error.message}", error.hint) from None
    return Flashed(**facts, confirmed=True, note="; ".join(filter(None, (done.note, warning))))
