"""Through OpenOCD: the real program as far as it goes without a probe; beyond, a scripted one in its place."""

import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from scripted import BOARD, OPENOCD, SERIAL

from tinyflow.board import load_board
from tinyflow.deploy.flash import way
from tinyflow.deploy.flash.image import Image
from tinyflow.deploy.flash.openocd import FAILURES, check_chip, commands, explain, program, run_openocd
from tinyflow.deploy.flash.way import Job
from tinyflow.errors import TinyflowError

CONFIG = Path(BOARD.folder, BOARD.probe.openocd.config)
REAL = shutil.which("openocd")
real = pytest.mark.skipif(not REAL, reason="openocd is missing: apt-get install openocd")
# OpenOCD 0.12's own wording (stlink_usb.c, libusb_helper.c, jlink.c, stm32l4x.c, target.c, startup.tcl, nrf52.cfg) ->
# what the user is told
LOGS = {
    "Error: libusb_open() failed with LIBUSB_ERROR_ACCESS\nError: open failed\n** OpenOCD init failed **": (
        "no permission to open the probe"
    ),
    "Error: libusb_open() failed with LIBUSB_ERROR_BUSY\nError: open failed": "another program holds the probe",
    "Error: ST-LINK open failed (serial mismatch)\n** OpenOCD init failed **": "OpenOCD does not find the probe",
    "Error: open failed\nin procedure 'program'\n** OpenOCD init failed **": "OpenOCD does not find the probe",
    "Error: No J-Link device found": "OpenOCD does not find the probe",
    "Error: libusb_bulk_write error: LIBUSB_ERROR_NO_DEVICE\n** Programming Failed **": "the probe stopped answering",
    "Info : Target voltage: 0.004762\nError: init mode failed (unable to connect to the target)": (
        "the chip has no power"
    ),
    "Info : Target voltage: 3.25\nError: init mode failed (unable to connect to the target)": (
        "the chip does not, even held in reset"
    ),
    "read_memory: read at 0xe0042000 with width=32 and count=1 failed": "the chip does not, even held in reset",
    "Error: Error connecting DP: cannot read IDR": "the chip does not, even held in reset",
    "wrong chip: 0x10006415 at 0xe0042000 is not STM32L4Rx": "another chip: 0x10006415 at 0xe0042000 is not STM32L4Rx",
    "Warn : UNEXPECTED idcode: 0x6ba02477\nError: expected 1 of 1: 0x2ba01477": (
        "another core: its debug port says 0x6ba02477"
    ),
    "Warn : Cannot identify target as an STM32L4/L5/U5/WB/WL/G0/G4 family device.\n** Programming Failed **": (
        "the chip is not one of STM32L4"
    ),
    "Info : RDP level 1 (0x00)\nError: stm32x device protected\n** Programming Failed **": (
        "locked by its read-out protection"
    ),
    "****** WARNING ******\nnRF52 device has AP lock engaged (see UICR APPROTECT register).\nDebug access is denied.\nError: Target not examined yet": (
        "locked by its access port protection"
    ),
    "Info : RDP level 0 (0xAA)\nError: flash memory write protected\n** Programming Failed **": (
        "write-protected by option bytes"
    ),
    "Error: checksum mismatch\ndiff 0 address 0x08000000. Was 0xff instead of 0x00\n** Verify Failed **": (
        "verify mismatch"
    ),
    "Error: timed out waiting for flash\n** Programming Failed **": "the flash could not be written",
    "Error: Can't find target/stm32l4x.cfg\n": "no script target/stm32l4x.cfg",
    'invalid command name "adapter"': "does not know the command 'adapter'",
    "Error: something never seen before\n": "OpenOCD failed: something never seen before",
}


@pytest.fixture
def job(firmware, image) -> Job:
    return Job(firmware, BOARD, Image(0x08000000, image), None, SERIAL)


def test_programs_verifies_and_resets(firmware, usb, openocd, run):
    usb.plug(SERIAL)
    usb.plug("another", "0403:6001")
    arguments = openocd()
    seen = []
    result = run(progress=lambda task, done, total, note="": seen.append(note))
    assert result.bytes == 0x40C and result.verified and result.probe == SERIAL and result.flash_mode == "dual-bank"
    assert (result.way, result.tool, result.why) == ("openocd", "OpenOCD 0.12.0", "the first choice")
    assert result.chip.startswith("0x10036470") and result.seconds >= 0
    assert not result.confirmed and result.note == "not confirmed: hello was not waited for"
    lines = arguments.read_text().splitlines()
    assert lines[:2] == ["-f", str(CONFIG)]
    assert lines[3::2] == [
        "gdb_port disabled; telnet_port disabled; tcl_port disabled",
        f"adapter serial {{{SERIAL}}}",
        "init; reset init",
        check_chip(BOARD.probe.chip),
        f"program {{{firmware.elf}}} verify reset exit",
    ]
    assert "nucleo-l4r5zi through OpenOCD 0.12.0 (the first choice)" in seen and {
        "Programming Started",
        "Verified OK",
    } <= set(seen)
    assert (firmware.folder / "flash.log").read_text() == OPENOCD


def test_never_erases_the_chip_nor_writes_option_bytes(job):
    for name in ("nucleo-l4r5zi", "b-l475e-iot01a", "stm32f4_discovery", "nrf52840dk"):
        board = load_board(name)
        text = "\n".join(
            [*commands(replace(job, board=board)), Path(board.folder, board.probe.openocd.config).read_text()]
        )
        assert not re.search(r"option|mass_erase|erase_sector|\bunlock\b|recover|protect", text), name


@pytest.mark.parametrize("log", LOGS, ids=range(len(LOGS)))
def test_every_failure_is_explained(firmware, usb, openocd, run, log):
    usb.plug(SERIAL)
    openocd(log, 1)
    with pytest.raises(TinyflowError) as caught:
        run(way="openocd")
    assert LOGS[log] in caught.value.message and caught.value.hint and "{" not in caught.value.hint
    assert str(firmware.folder / "flash.log") in caught.value.message
    assert (firmware.folder / "flash.log").read_text().strip() == log.strip()


def test_every_row_of_the_table_is_reached(job):
    reached = set()
    for log in LOGS:
        row = next((failure for failure in FAILURES if re.search(failure.said, log)), None)
        reached.add(row)
        if row:
            assert explain(log, job).message == row.message.format(*re.search(row.said, log).groups())
    assert reached == {*FAILURES, None}


def test_an_exit_without_verification_is_an_error(usb, openocd, run, documented):
    usb.plug(SERIAL)
    openocd(OPENOCD.replace("** Verified OK **", ""))
    with pytest.raises(TinyflowError) as caught:
        run()
    documented(caught.value, "OpenOCD ended without an error but did not write and verify", "see .../flash.log")


def test_time_limit(usb, openocd, run, monkeypatch, documented):
    monkeypatch.setattr(way, "SECONDS", 0.5)
    usb.plug(SERIAL)
    openocd("** Programming Started **\n", 0, seconds=30)
    with pytest.raises(TinyflowError, match=r"did not finish in 0.5 s: \*\* Programming Started") as caught:
        run()
    monkeypatch.undo()
    caught.value.message = caught.value.message.replace("0.5 s", f"{way.SECONDS:g} s")
    documented(
        caught.value, "OpenOCD did not finish in 180 s: ...", "plug the board in again, without a hub, and repeat"
    )


def test_time_limit_of_a_program_behind_a_script(tmp_path):
    """The script's child holds the pipe: it ends with the script, or its end would be waited for."""
    script = tmp_path / "wrapper"
    script.write_text("#!/bin/sh\nsleep 30\necho unreached\n")
    script.chmod(0o755)
    start = time.monotonic()
    with pytest.raises(way.ProgramFailed, match="x did not finish in 0.3 s"):
        way.run_program("x", [str(script)], lambda log: TinyflowError(log), seconds=0.3)
    assert time.monotonic() - start < 10


def test_absent_too_old_or_mute(usb, openocd, run, monkeypatch, tmp_path, documented):
    usb.plug(SERIAL)
    hint = "sudo apt-get install openocd (0.12 or later), or name it: OPENOCD=/path/to/openocd"
    monkeypatch.setenv("OPENOCD", "/nowhere/openocd")
    with pytest.raises(TinyflowError) as caught:
        run(way="openocd")
    documented(caught.value, "OPENOCD=... is not a program", hint)
    monkeypatch.delenv("OPENOCD")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(TinyflowError) as caught:
        run(way="openocd")
    documented(caught.value, "OpenOCD is not installed", hint)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    openocd(version="0.11.0")
    with pytest.raises(TinyflowError) as caught:
        run(way="openocd")
    documented(caught.value, "OpenOCD 0.11 is too old", hint)
    openocd(version="")
    with pytest.raises(TinyflowError) as caught:
        run(way="openocd")
    documented(caught.value, ".../openocd does not say its version", hint)


def test_a_path_that_tcl_cannot_take(firmware, usb, openocd, run, documented):
    usb.plug(SERIAL)
    openocd()
    object.__setattr__(firmware, "folder", firmware.folder.rename(firmware.folder.with_name("{odd}")))
    with pytest.raises(TinyflowError) as caught:
        run(way="openocd")
    documented(
        caught.value, ".../firmware.elf: OpenOCD cannot take a path with braces or backslashes", "move the run folder"
    )


@real
@pytest.mark.parametrize("name", ["nucleo-l4r5zi", "b-l475e-iot01a", "stm32f4_discovery", "nrf52840dk"])
def test_real_openocd_reads_the_boards_config_and_finds_no_probe(job, monkeypatch, name):
    monkeypatch.setenv("OPENOCD", REAL)
    if any(Path("/sys/bus/usb/devices").glob("*/idVendor")):
        pytest.skip("USB devices are plugged in")
    with pytest.raises(TinyflowError, match="OpenOCD does not find the probe") as caught:
        run_openocd(
            replace(job, board=load_board(name), serial="683000001" if name == "nrf52840dk" else SERIAL),
            commands(job)[:1] + ["init; reset init"],
            seconds=30,
        )
    assert load_board(name).probe.socket in caught.value.hint


@real
@pytest.mark.parametrize(
    "name, idcode, right",
    [
        ("nucleo-l4r5zi", "0x10036470", True),
        ("nucleo-l4r5zi", "0x10006415", False),
        ("b-l475e-iot01a", "0x10076415", True),
        ("stm32f4_discovery", "0x10076413", True),
        ("stm32f4_discovery", "0x20006411", True),
        ("stm32f4_discovery", "0x10016419", False),
        ("nrf52840dk", "0x52840", True),
        ("nrf52840dk", "0x52832", False),
        ("nrf52840dk", "0xffffffff", False),
    ],
)
def test_real_openocd_stops_at_the_wrong_chip(tmp_path, job, monkeypatch, name, idcode, right):
    monkeypatch.setenv("OPENOCD", REAL)
    chip = load_board(name).probe.chip
    config = tmp_path / "board.cfg"
    config.write_text(
        f"proc read_memory {{address width count}} {{ if {{$address != {chip.address} || $width != 32 || $count != 1}}"
        f" {{ error bad }}; return {idcode} }}\n"
    )
    board = replace(
        BOARD,
        folder=str(tmp_path),
        probe=replace(BOARD.probe, openocd=replace(BOARD.probe.openocd, config="board.cfg")),
    )
    lines = [check_chip(chip), "echo erasing", "shutdown"]
    if right:
        assert "erasing" in run_openocd(replace(job, board=board), lines)
    else:
        with pytest.raises(
            TinyflowError, match=rf"another chip: 0x0*{int(idcode, 16):x} at {chip.address:#010x} is not {chip.name}"
        ) as caught:
            run_openocd(replace(job, board=board), lines)
        assert "erasing" not in caught.value.log


# OpenOCD's own dummy adapter, testee target and faux flash: its `program` runs whole, but for reading the chip.
MADE_UP = """adapter driver dummy
transport select jtag
adapter speed 1000
jtag newtap made cpu -irlen 4
target create made.cpu testee -chain-position made.cpu
flash bank made.flash faux 0x08000000 {size:#x} 0 0 made.cpu
reset_config none
made.cpu configure -event reset-init {{ proc read_memory {{address width count}} {{ return {idcode} }}; {more} }}
"""  # a command of OpenOCD's own, there only after init


@pytest.fixture
def made_up(tmp_path, job, monkeypatch):
    """program() on a chip of OpenOCD's own making."""
    monkeypatch.setenv("OPENOCD", REAL or "")

    def made_up(size: int = 0x200000, idcode: str = "0x10036470", more: str = ""):
        (tmp_path / "board.cfg").write_text(MADE_UP.format(size=size, idcode=idcode, more=more))
        return program(
            replace(
                job,
                board=replace(
                    BOARD,
                    folder=str(tmp_path),
                    probe=replace(BOARD.probe, openocd=replace(BOARD.probe.openocd, config="board.cfg")),
                ),
            )
        )

    return made_up


@real
def test_real_openocd_programs_a_chip_of_its_own_making(made_up, image, job):
    done = made_up(more='proc verify_image {args} { echo "verifying $args" }')
    assert done.bytes == len(image) and done.verified
    log = job.log.read_text()
    order = [
        "** Programming Started **",
        "** Programming Finished **",
        "** Verify Started **",
        f"verifying {job.firmware.elf}",
        "** Verified OK **",
        "** Resetting Target **",
    ]
    assert [log.index(line) for line in order] == sorted(log.index(line) for line in order)


@real
@pytest.mark.parametrize(
    "changed, message, programs",
    [
        ({}, "what was read back differs from the image (verify mismatch)", True),  # a testee cannot be read
        ({"size": 0x100}, "the flash could not be written", False),
        (
            {"idcode": "0x10006415", "more": "proc verify_image {args} {}"},
            "the probe is connected to another chip: 0x10006415 at 0xe0042000 is not STM32L4Rx or STM32L4Sx",
            False,
        ),
    ],
)
def test_real_openocd_fails_on_a_chip_of_its_own_making(made_up, job, changed, message, programs):
    with pytest.raises(TinyflowError) as caught:
        made_up(**changed)
    log = job.log.read_text()
    assert caught.value.message.startswith(message), log
    assert ("** Programming Finished **" in log) == programs and "** Verified OK **" not in log


@real
def test_real_openocd_knows_every_command():
    """The names that commands() uses, in OpenOCD's own help."""
    said = [
        f"help {name}" for name in ("program", "adapter serial", "read_memory", "gdb_port", "telnet_port", "tcl_port")
    ]
    log = subprocess.run(
        [REAL, "-f", str(CONFIG), *(part for line in [*said, "shutdown"] for part in ("-c", line))],
        capture_output=True,
        text=True,
    ).stderr
    for name in (
        "program <filename>",
        "[verify] [reset] [exit]",
        "adapter serial",
        "read_memory address width count",
        "gdb_port",
        "telnet_port",
        "tcl_port",
    ):
        assert name in log, name


@real
def test_real_openocd_takes_a_path_with_spaces(tmp_path):
    """The quoting of flash's program command, given to OpenOCD's own Tcl."""
    path = tmp_path / "with space; and $dollar [bracket]" / "firmware.elf"
    log = subprocess.run(
        [
            REAL,
            "-c",
            'proc program {file args} { echo "file=$file" }',
            "-c",
            f"program {{{path}}} verify reset exit",
            "-c",
            "shutdown",
        ],
        capture_output=True,
        text=True,
    ).stderr
    assert f"file={path}" in log


@real
def test_real_openocd_without_the_script_or_with_a_wrong_config(tmp_path, job, monkeypatch):
    monkeypatch.setenv("OPENOCD", REAL)
    config = tmp_path / "board.cfg"
    board = replace(
        BOARD,
        folder=str(tmp_path),
        probe=replace(BOARD.probe, openocd=replace(BOARD.probe.openocd, config="board.cfg")),
    )
    for text, message in (
        ("source [find target/stm32zz.cfg]\n", "this OpenOCD has no script target/stm32zz.cfg"),
        ("adaptor speed 4000\n", "this OpenOCD does not know the command 'adaptor'"),
        ("set x [\n", "OpenOCD failed"),
    ):
        config.write_text(text)
        with pytest.raises(TinyflowError) as caught:
            run_openocd(replace(job, board=board), ["shutdown"])
        assert caught.value.message.startswith(message), (caught.value.message, caught.value.log)


def test_docs_quote_every_failure():
    text = (Path(__file__).resolve().parents[3] / "docs/flash.md").read_text().replace("\\|", "|")
    for failure in FAILURES:
        assert f"| {failure.message} | `{failure.said}` | {failure.hint} |" in text, failure.message
