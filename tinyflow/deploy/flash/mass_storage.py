"""Through the probe's drag-and-drop drive: find it, copy a .bin, hear what it says in FAIL.TXT. It cannot be read back.

Which drive belongs to which probe is told by where the disk hangs in sysfs. Where there is no sysfs (macOS), by its
label, and with several equal ones by the serial number in the drive's own DETAILS.TXT or MBED.HTM.
"""

import errno
import os
import re
import time
from pathlib import Path

from tinyflow.deploy.flash.probes import disks, same_label
from tinyflow.deploy.flash.way import Job, Programmed
from tinyflow.errors import TinyflowError
from tinyflow.progress import Progress, silent

MOUNTS = Path("/proc/self/mountinfo")
VOLUMES = Path("/Volumes")  # macOS
BIN = "firmware.bin"
FAIL = "FAIL.TXT"
SETTLE_SECONDS = 30.0  # a probe writes some 20 KB/s, and says only afterwards what it thinks of a file
GONE = (errno.ENODEV, errno.ENXIO, errno.EIO, errno.ENOENT, errno.ENOTCONN)


def find(job: Job) -> str:
    """The drive, for people. TinyflowError: why it cannot be used for ``job``."""
    return f"the drive {find_drive(job)}"


def find_drive(job: Job) -> Path:
    """The folder where the probe's drive is mounted."""
    if job.drive:
        if not job.drive.is_dir():
            raise TinyflowError(
                f"the drive {job.drive} is not a folder", "name the folder where the probe's drive is mounted"
            )
        return job.drive
    if job.board.probe.mass_storage is None:
        raise TinyflowError(
            f"board.yaml of {job.board.name} has no probe.mass_storage", "name the drive's folder: --drive FOLDER"
        )
    return _of_probe(job) if job.probe else _by_label(job)


def _of_probe(job: Job) -> Path:
    """The drive among the disks that hang on the chosen probe's USB device; choose_probe() has seen its label."""
    found = disks(job.probe.device)
    if not found:
        raise TinyflowError(
            f"the probe {job.serial or job.probe.usb_id} shows no drive",
            "its firmware has none, or it was switched off; or name the folder: --drive FOLDER",
        )
    mounted = _mounts()
    for disk in found:
        try:
            number = (disk / "dev").read_text().strip()
        except OSError:
            continue
        if number in mounted:
            return mounted[number]
    raise TinyflowError(
        f"the probe's drive /dev/{found[-1].name} is not mounted", f"udisksctl mount -b /dev/{found[-1].name}"
    )


def _by_label(job: Job) -> Path:
    volume = job.board.probe.mass_storage.volume
    places = [*(VOLUMES.iterdir() if VOLUMES.is_dir() else ()), *_mounts().values()]
    drives = sorted(
        {place for place in places if same_label(re.sub(r"[ \d]*$", "", place.name), re.sub(r"\d*$", "", volume))}
    )
    if len(drives) > 1 and job.serial:
        drives = [
            drive
            for drive in drives
            if job.serial.lower() in "".join(_read(drive / name) for name in ("DETAILS.TXT", "MBED.HTM")).lower()
        ]
    if not drives:
        raise TinyflowError(f"no drive called {volume} is mounted", "name its folder: --drive FOLDER")
    if len(drives) > 1:
        raise TinyflowError(
            f"{len(drives)} drives are called {volume}: {', '.join(map(str, drives))}",
            f"choose one: --drive {drives[0]}",
        )
    return drives[0]


def _mounts() -> dict[str, Path]:
    """Mount point by device number ("8:16")."""
    found = {}
    for line in _read(MOUNTS).splitlines():
        fields = line.split()
        if len(fields) > 4:
            found[fields[2]] = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4]))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def program(job: Job, progress: Progress = silent) -> Programmed:
    """Copies the image; the probe then programs it and starts it. What it refuses it says in FAIL.TXT."""
    drive = find_drive(job)
    before = _read(drive / FAIL)
    progress("flash", 0, 0, f"copying {len(job.image.data):,} bytes to {drive}")
    note = _copy(job.image.data, drive)
    progress("flash", 0, 0, "waiting for the probe to program it")
    _settle(drive, before)
    return Programmed(len(job.image.data), False, note="; ".join(filter(None, ("a drive cannot be read back", note))))


def _copy(data: bytes, drive: Path) -> str:
    """Writes BIN, down to the device. Returns "" or what was odd: a probe may restart its drive with the last byte."""
    written = False
    try:
        room = os.statvfs(drive)
        if room.f_bavail * room.f_frsize < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with (drive / BIN).open("wb", buffering=0) as file:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
            written = True
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise TinyflowError(
                f"the drive {drive} cannot be written to: {error.strerror}",
                "mount it for this user: udisksctl mount; or plug the board in again",
            ) from None
        if error.errno in (errno.ENOSPC, errno.EFBIG):
            raise TinyflowError(
                f"the drive {drive} is full: {len(data):,} bytes do not fit",
                "the image is too large for this chip, or plug the board in again",
            ) from None
        if error.errno not in GONE:
            raise TinyflowError(
                f"the drive {drive} failed: {error.strerror}", "plug the board in again, without a hub"
            ) from None
        if not written:
            raise TinyflowError(
                f"the drive {drive} went away while it was written to: {error.strerror}",
                "plug the board in again, without a hub",
            ) from None
        return f"the drive went away with the last byte ({error.strerror})"
    return ""


def _settle(drive: Path, before: str) -> None:
    """Waits until the drive has swallowed the file. ``before``: FAIL.TXT of an earlier failure, which stays until a
    success.

    A system that does not mount the drive again shows nothing of this: what counts then is the firmware's hello.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        said, swallowed = _read(drive / FAIL), not (drive / BIN).exists()
        if said and (swallowed or said != before):
            raise TinyflowError(
                f"the probe refused the image; its FAIL.TXT says: {' '.join(said.split())}",
                "tinyflow flash --with openocd says more of why",
            )
        if swallowed:
            return
        time.sleep(0.2)
