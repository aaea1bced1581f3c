"""Through the drag-and-drop drive: a folder that behaves like an ST-LINK's, and drives that are wrong, full, read-only
or gone.
"""

import os
import subprocess
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from scripted import BOARD, SERIAL

from tinyflow.deploy.flash import mass_storage
from tinyflow.deploy.flash.image import Image
from tinyflow.deploy.flash.mass_storage import find_drive, program
from tinyflow.deploy.flash.way import Job
from tinyflow.errors import TinyflowError

VOLUME = BOARD.probe.mass_storage.volume


@pytest.fixture
def swallow(image):
    """Makes a folder behave as an ST-LINK's drive: takes firmware.bin when it is whole, and may leave FAIL.TXT."""
    threads = []

    def start(drive, says: str = "", programs=lambda: None) -> list[bytes]:
        taken: list[bytes] = []

        def watch() -> None:
            file, deadline = drive / "firmware.bin", time.monotonic() + 10
            while time.monotonic() < deadline and not (file.is_file() and file.stat().st_size == len(image)):
                time.sleep(0.01)
            taken.append(file.read_bytes())
            if says:
                (drive / "FAIL.TXT").write_text(says)
            elif (drive / "FAIL.TXT").exists():
                (drive / "FAIL.TXT").unlink()
            programs()
            file.unlink()

        threads.append(threading.Thread(target=watch))
        threads[-1].start()
        return taken

    yield start
    for thread in threads:
        thread.join()


@pytest.fixture
def job(firmware, image) -> Job:
    return Job(firmware, BOARD, Image(0x08000000, image), None, SERIAL)


def test_copies_the_image_and_the_hello_confirms(usb, run, image, swallow, board_console):
    """The old firmware still answers while the probe programs the new one."""
    drive = usb.plug(SERIAL, drive=VOLUME).drive
    usb.plug("OTHER", drive="NODE_F401RE")
    board_console["build"] = "01d"
    threading.Timer(0.8, board_console.update, [{"build": "b01d1d"}]).start()
    taken = swallow(drive)
    result = run(probe=SERIAL, way="mass-storage", wait=True)
    assert taken == [image] and list(drive.iterdir()) == []
    assert result.confirmed and not result.verified and result.bytes == len(image) and result.log == ""
    assert result.note == "a drive cannot be read back" and result.tool == f"the drive {drive}"


def test_without_hello_it_says_that_nothing_confirms_it(usb, run, swallow):
    swallow(usb.plug(SERIAL, drive=VOLUME).drive)
    result = run(way="mass-storage")
    assert not result.confirmed and not result.verified
    assert result.note == "not confirmed: hello was not waited for; a drive cannot be read back"


def test_another_build_after_the_copy(usb, run, swallow, board_console, monkeypatch):
    monkeypatch.setattr(mass_storage, "SETTLE_SECONDS", 0.8)
    swallow(usb.plug(SERIAL, drive=VOLUME).drive)
    board_console["build"] = "01d"
    with pytest.raises(
        TinyflowError, match="copied to the drive, but not confirmed on .*: it runs build 01d, not b01d1d"
    ):
        run(way="mass-storage", wait=True)


def test_what_fail_txt_says(usb, run, swallow, documented):
    drive = usb.plug(SERIAL, drive=VOLUME).drive
    for _ in range(2):  # the second time FAIL.TXT of the first lies there, and says the same
        swallow(drive, "Error: The flash is write\r\nprotected.\r\n")
        with pytest.raises(TinyflowError) as caught:
            run(way="mass-storage")
        documented(
            caught.value,
            "the probe refused the image; its FAIL.TXT says: ...",
            "tinyflow flash --with openocd says more of why",
        )
        assert caught.value.message.endswith("says: Error: The flash is write protected.")
    swallow(drive)
    assert run(way="mass-storage").bytes  # an old FAIL.TXT is none of this time's


def test_a_drive_that_is_not_mounted_again_leaves_it_to_hello(job, tmp_path, monkeypatch):
    """The file stays as the kernel remembers it, or the mount point is empty or gone."""
    monkeypatch.setattr(mass_storage, "SETTLE_SECONDS", 0.5)
    (tmp_path / "drive").mkdir()
    assert program(replace(job, drive=tmp_path / "drive")).bytes == len(job.image.data)


def test_a_drive_that_restarts_with_the_last_byte(job, tmp_path, monkeypatch):
    (tmp_path / "drive").mkdir()

    def restart(descriptor: int) -> None:
        (tmp_path / "drive/firmware.bin").unlink()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", restart)
    assert (
        program(replace(job, drive=tmp_path / "drive")).note
        == "a drive cannot be read back; the drive went away with the last byte (Input/output error)"
    )


def refused(job, drive) -> TinyflowError:
    with pytest.raises(TinyflowError) as caught:
        program(replace(job, drive=drive))
    return caught.value


def test_full_gone_and_broken_drives(job, tmp_path, monkeypatch, documented):
    """Errors of the kernel itself: /dev/full, a dangling link, a folder in the file's place."""
    for name in ("full", "gone", "broken"):
        (tmp_path / name).mkdir()
    (tmp_path / "full/firmware.bin").symlink_to("/dev/full")
    documented(
        refused(job, tmp_path / "full"),
        "the drive ... is full: ... bytes do not fit",
        "the image is too large for this chip, or plug the board in again",
    )
    (tmp_path / "gone/firmware.bin").symlink_to(tmp_path / "nowhere/firmware.bin")
    documented(
        refused(job, tmp_path / "gone"),
        "the drive ... went away while it was written to: ...",
        "plug the board in again, without a hub",
    )
    (tmp_path / "broken/firmware.bin").mkdir()
    documented(refused(job, tmp_path / "broken"), "the drive ... failed: ...", "plug the board in again, without a hub")
    room = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=1, f_frsize=512, f_bsize=room.f_bsize))
    (tmp_path / "small").mkdir()
    assert (
        "is full: 1,036 bytes do not fit" in refused(job, tmp_path / "small").message
        and not (tmp_path / "small/firmware.bin").exists()
    )


def test_a_drive_that_cannot_be_written_to(job, tmp_path, documented):
    folder = tmp_path / "drive"
    folder.mkdir()
    if os.geteuid() == 0:  # whom permissions do not stop
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", folder], capture_output=True).returncode:
            pytest.skip("may not mount a file system here")
    else:
        folder.chmod(0o555)
    try:
        error = refused(job, folder)
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", folder], check=True)
    documented(
        error,
        "the drive ... cannot be written to: ...",
        "mount it for this user: udisksctl mount; or plug the board in again",
    )


def test_the_drive_is_the_one_of_the_chosen_probe(firmware, usb, run, swallow, documented):
    """Two boards of a kind: the same ids, the same label."""
    first, second = usb.plug("A111", drive=VOLUME), usb.plug("B222", drive="NOD_L4R5ZI")
    taken = swallow(second.drive)
    assert (
        run(way="mass-storage", probe="B222").tool == f"the drive {second.drive}"
        and taken
        and not list(first.drive.iterdir())
    )


def test_drives_that_are_not_there(usb, run, documented):
    usb.plug("A111")
    with pytest.raises(TinyflowError) as caught:
        run(way="mass-storage")
    documented(
        caught.value,
        "the probe ... shows no drive",
        "its firmware has none, or it was switched off; or name the folder: --drive FOLDER",
    )
    usb.plug("C333", drive=VOLUME, mounted=False)
    with pytest.raises(TinyflowError) as caught:
        run(way="mass-storage", probe="C333")
    documented(caught.value, "the probe's drive /dev/... is not mounted", "udisksctl mount -b /dev/...")


def test_a_named_drive_needs_no_probe(run, tmp_path, swallow, image, documented):
    (tmp_path / "drive").mkdir()
    taken = swallow(tmp_path / "drive")
    result = run(drive=tmp_path / "drive")
    assert result.way == "mass-storage" and result.probe == "" and taken == [image]
    with pytest.raises(TinyflowError) as caught:
        run(drive=tmp_path / "absent")
    documented(caught.value, "the drive ... is not a folder", "name the folder where the probe's drive is mounted")


def test_drives_by_label_where_there_is_no_sysfs(job, tmp_path, documented):
    """macOS: /Volumes; of several equal ones, the one whose own files name the probe's serial number."""
    with pytest.raises(TinyflowError) as caught:
        find_drive(job)
    documented(caught.value, "no drive called NODE_L4R5ZI is mounted", "name its folder: --drive FOLDER")
    first, second, other = (tmp_path / "Volumes" / name for name in ("NODE_L4R5ZI", "NODE_L4R5ZI 1", "NODE_L476RG"))
    for folder in (first, second, other):
        folder.mkdir(parents=True)
    (second / "MBED.HTM").write_text(
        f'<meta http-equiv="refresh" content="0; url=http://mbed.org/device/?code=0781{SERIAL}"/>'
    )
    assert find_drive(job) == second
    with pytest.raises(TinyflowError) as caught:
        find_drive(replace(job, serial=""))
    documented(caught.value, "2 drives are called NODE_L4R5ZI: ...", "choose one: --drive ...")
    (second / "MBED.HTM").unlink()
    (first / "DETAILS.TXT").write_text(f"Version: 0221\nUnique ID: {SERIAL.lower()}\n")
    assert find_drive(job) == first
