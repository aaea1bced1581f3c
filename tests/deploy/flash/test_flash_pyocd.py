"""Through pyOCD: the real program as far as it goes without a probe; beyond, a scripted one in its place."""

import functools
import importlib.util
import json
import re
import shutil
import socketserver
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from scripted import BOARD, SERIAL, loaded, looked

from tinyflow.board import load_board
from tinyflow.deploy.flash import pyocd as pyocd_way
from tinyflow.deploy.flash.image import Image
from tinyflow.deploy.flash.pyocd import FAILURES, INSTALL, OPTIONS, explain, find, run_pyocd
from tinyflow.deploy.flash.way import Job, ask
from tinyflow.errors import TinyflowError
from tinyflow.results import to_json

ask_once = functools.cache(ask)  # its list of chips takes a second
REAL = shutil.which("pyocd", path=str(Path(sys.executable).parent)) or shutil.which("pyocd")
real = pytest.mark.skipif(not REAL, reason="pyocd is missing: pip install -e '.[test]'")
# pyOCD 0.46's own wording (the modules named in deploy/flash/pyocd.py), said to `look` (reset halt, read32) or to
# `load` -> what the user is told
LOOKS = {
    "0000301 W [Errno 13] Access denied (insufficient permissions) while trying to get the STLink USB device configuration (VID=0483 PID=374b). This can probably"
    " be remedied with a udev rule. [usb]\nNo connected debug probe matches unique ID '066D'\n": "no permission to open the probe",
    "0000301 C Error: [Errno 16] Resource busy [__main__]\n": "another program holds the probe",
    "0000301 W STLink, CMSIS-DAPv2 and PicoProbe probes are not supported because no libusb library was found. [common]\nNo connected debug probes\n": "pyOCD has no libusb",
    "No connected debug probe matches unique ID '066D'\n": "pyOCD does not find the probe",
    "0000700 E Error while initing target: USB Error: [Errno 19] No such device (it may have been disconnected) [commander]\n": "the probe stopped answering",
    "0000488 C Target type stm32l4r5zitx not recognized. Use 'pyocd list --targets' to see currently available target types. [__main__]\n": "does not know the chip stm32l4r5zitx",
    "pyocd: error: unrecognized arguments: --no-wait\n": "does not know what it is asked",
    "0000700 E Error while initing target: STLink 066D is using an unsupported, older firmware version. Please update to the latest STLink firmware. [commander]\n": "too old for pyOCD",
    looked(0x10006415): "another chip: 0x10006415 at 0xe0042000 is not STM32L4Rx",
    "0000700 W NRF52840 APPROTECT enabled: not automatically unlocking [target_nRF52]\nWarning: Target is locked, limited operations available.\n": "access port protection",
    "0000700 E Error while initing target: STLink error (9): Get IDCODE error [commander]\n": "the chip does not",
    "Resetting target with halt\nFailed to halt device on reset (state is RUNNING)\n": "the chip does not",
    "0000700 C something never seen before [__main__]\n": "pyOCD failed: something never seen before",
}
LOADS = {
    "Comparing 1032 bytes @ 0x08000000\nMismatched byte at 0x08000010 (offset 0x10): 0xff (memory) != 0x10 (file)\nResetting target\n": "differs from the image at 0x08000010",
    "0000700 C no memory region defined for address 0x08000000 [__main__]\n": "pyOCD's stm32l4r5zitx has no flash where the image belongs",
    "0000700 C flash erase sector failure (address 0x08000000; result code 0x1) [__main__]\n": "the flash could not be written",
    "0000700 C flash program page failure (address 0x08000000; result code 0x1) [__main__]\n": "the flash could not be written",
    "Error: memory transfer failed\npyocd.core.exceptions.TransferFaultError: Memory transfer fault (STLink error (17): AP fault) @ 0x08000000-0x08000003\n": "locked by its read-out protection",
}


@pytest.fixture
def job(firmware, image) -> Job:
    return Job(firmware, BOARD, Image(0x08000000, image), None, SERIAL)


def test_looks_at_the_chip_loads_compares_and_resets(firmware, image, usb, pyocd, run, monkeypatch, tmp_path):
    usb.plug("000683000001")
    monkeypatch.setenv("OPENOCD", "/nowhere")
    arguments = pyocd()
    seen = []
    result = run(progress=lambda task, done, total, note="": seen.append(note))
    assert (
        result.way == "pyocd"
        and result.tool == "pyOCD 0.46.0"
        and result.why == "openocd: OPENOCD=/nowhere is not a program"
    )
    assert (
        result.verified
        and result.bytes == len(image)
        and result.chip == "0x10036470"
        and result.probe == "000683000001"
    )
    assert (firmware.folder / "firmware.bin").read_bytes() == image and {"Erasing", "Programming"} <= set(seen)
    assert (firmware.folder / "flash.log").read_text() == looked() + loaded(len(image))
    look, load = arguments.read_text().split("commander\n")[1:]
    for lines in (look, load):
        assert (
            lines.startswith("--no-wait\n--no-config\n")
            and "-t\nstm32l4r5zitx\n-M\nunder-reset\n-u\n683000001\n" in lines
        )
        assert (
            all(f"-O\n{option}\n" in lines for option in OPTIONS)
            and "auto_unlock=false" in OPTIONS
            and "chip_erase=sector" in OPTIONS
        )
    assert look.endswith("-c\nreset halt\n-c\nread32 0xe0042000\n")
    assert load.endswith(
        "-c\nreset halt\n-c\nload firmware.bin 0x08000000\n-c\ncompare 0x08000000 firmware.bin\n-c\nreset\n"
    )
    assert json.loads(json.dumps(to_json(result))) == vars(result)


@pytest.mark.parametrize(
    "step, log", [("look", log) for log in LOOKS] + [("load", log) for log in LOADS], ids=range(len(LOOKS) + len(LOADS))
)
def test_every_failure_is_explained(firmware, usb, pyocd, run, step, log):
    usb.plug(SERIAL)
    status = (
        0 if "Mismatched" in log or "Failed to halt" in log or "\n10006415" in log or log.startswith("Resetting") else 1
    )
    arguments = pyocd(**({"look": log, "look_status": status} if step == "look" else {"load": log, "status": status}))
    with pytest.raises(TinyflowError) as caught:
        run(way="pyocd")
    assert (LOOKS | LOADS)[log] in caught.value.message and caught.value.hint and "{" not in caught.value.hint
    assert (
        f"(log: {firmware.folder / 'flash.log'})" in caught.value.message
        and log.strip() in (firmware.folder / "flash.log").read_text()
    )
    assert ("load firmware.bin" in arguments.read_text()) == (
        step == "load"
    )  # nothing is erased before the chip is known


def test_every_row_of_the_table_is_reached(job):
    reached = set()
    for log, said in (LOOKS | LOADS).items():
        row = next((failure for failure in FAILURES if re.search(failure.said, log)), None)
        reached.add(
            row
            if row or "another chip" not in said
            else next(failure for failure in FAILURES if "wrong chip" in failure.said)
        )
        if row:
            assert said in explain(log, job).message
    assert reached == {*FAILURES, None}


def test_an_exit_without_comparison_is_an_error(usb, pyocd, run, documented):
    usb.plug(SERIAL)
    pyocd(load="Resetting target\n")
    with pytest.raises(TinyflowError) as caught:
        run(way="pyocd")
    documented(caught.value, "pyOCD ended without an error but did not write and verify", "see .../flash.log")


def test_a_chip_that_wants_a_pack(usb, pyocd, run, documented):
    usb.plug(SERIAL)
    pyocd(targets=["nrf52840"])
    with pytest.raises(TinyflowError) as caught:
        run(way="pyocd")
    documented(
        caught.value,
        "pyOCD 0.46.0 does not know the chip stm32l4r5zitx: its CMSIS-Pack is not installed",
        "pyocd pack install stm32l4r5zitx",
    )


def test_absent_or_mute(usb, pyocd, run, monkeypatch, tmp_path, documented):
    usb.plug(SERIAL)
    monkeypatch.setenv("PYOCD", "/nowhere/pyocd")
    with pytest.raises(TinyflowError) as caught:
        run(way="pyocd")
    documented(caught.value, "PYOCD=... is not a program", INSTALL)
    monkeypatch.delenv("PYOCD")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "empty/python"))
    with pytest.raises(TinyflowError) as caught:
        run(way="pyocd")
    documented(caught.value, "pyOCD is not installed", INSTALL)
    (tmp_path / "pyocd").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "pyocd").chmod(0o755)
    monkeypatch.setenv("PYOCD", str(tmp_path / "pyocd"))
    monkeypatch.setenv("PATH", "/bin")
    with pytest.raises(TinyflowError) as caught:
        run(way="pyocd")
    documented(caught.value, ".../pyocd does not list the chips it knows", INSTALL)


@real
@pytest.mark.parametrize(
    "name, known",
    [("nucleo-l4r5zi", False), ("stm32f4_discovery", False), ("b-l475e-iot01a", True), ("nrf52840dk", True)],
)
def test_real_pyocd_knows_the_chip_or_wants_its_pack(job, monkeypatch, tmp_path, name, known):
    monkeypatch.setenv("PYOCD", REAL)
    monkeypatch.setenv("HOME", str(tmp_path))  # packs of this machine's user
    monkeypatch.setattr(pyocd_way, "ask", ask_once)
    board = load_board(name)
    if known:
        assert re.fullmatch(r"pyOCD 0\.\d+\.\d+", find(replace(job, board=board)))
    else:
        with pytest.raises(TinyflowError, match="does not know the chip .*: its CMSIS-Pack is not installed") as caught:
            find(replace(job, board=board))
        assert caught.value.hint == f"pyocd pack install {board.probe.pyocd.pack}"


@real
def test_real_pyocd_finds_no_probe(job, monkeypatch):
    if any(Path("/sys/bus/usb/devices").glob("*/idVendor")):
        pytest.skip("USB devices are plugged in")
    monkeypatch.setenv("PYOCD", REAL)
    for serial, said in (
        (SERIAL, f"No connected debug probe matches unique ID '{SERIAL.lstrip('0')}'"),
        ("", "No connected debug probes"),
    ):
        with pytest.raises(TinyflowError, match="pyOCD does not find the probe") as caught:
            run_pyocd(replace(job, board=load_board("b-l475e-iot01a"), serial=serial), ["reset halt"])
        assert said in caught.value.log and "CN7" in caught.value.hint


@pytest.fixture
def remote_probe():
    """A probe of pyOCD's own protocol over TCP that fails at one request, as pyOCD's server reports an ST-LINK's
    failure; its name.
    """
    servers = []

    def start(request: str, status: int, error: str) -> str:
        class Answer(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                properties = {
                    "capabilities": [],
                    "supported_wire_protocols": ["DEFAULT", "SWD"],
                    "wire_protocol": None if request == "connect" else "SWD",
                }
                for line in self.rfile:
                    asked = json.loads(line)
                    answer = {
                        "id": asked["id"],
                        "status": 0,
                        "result": properties.get(asked.get("arguments", [None])[0]),
                    }
                    if asked["request"] == request:
                        answer |= {"status": status, "error": error}
                    self.wfile.write(json.dumps(answer).encode() + b"\n")

        servers.append(socketserver.ThreadingTCPServer(("localhost", 0), Answer))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"remote:localhost:{servers[-1].server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@real
@pytest.mark.parametrize(
    "request_, status, error, message",
    [
        (
            "open",
            3,
            "USB Error: [Errno 19] No such device (it may have been disconnected)",
            "the probe stopped answering on USB",
        ),
        ("connect", 3, "STLink error (9): Get IDCODE error", "the probe answers but the chip does not"),
        ("read_dp", 11, "STLink error (20): DP wait", "the probe answers but the chip does not"),
    ],
)
def test_real_pyocd_with_a_probe_that_fails(job, monkeypatch, remote_probe, request_, status, error, message):
    monkeypatch.setenv("PYOCD", REAL)
    with pytest.raises(TinyflowError) as caught:
        run_pyocd(
            replace(job, board=load_board("b-l475e-iot01a"), serial=remote_probe(request_, status, error)),
            ["reset halt", "read32 0xe0042000"],
        )
    assert caught.value.message == message, caught.value.log


@real
def test_real_pyocd_does_not_know_a_chip_without_its_pack(job, monkeypatch, tmp_path, remote_probe):
    monkeypatch.setenv("PYOCD", REAL)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(TinyflowError) as caught:
        run_pyocd(replace(job, serial=remote_probe("none", 0, "")), ["reset halt"])
    assert (caught.value.message, caught.value.hint) == (
        "pyOCD does not know the chip stm32l4r5zitx",
        "pyocd pack install stm32l4r5zitx",
    ), caught.value.log


@real
def test_real_pyocd_refuses_what_it_does_not_know(job, monkeypatch):
    monkeypatch.setenv("PYOCD", REAL)
    log = subprocess.run([REAL, "commander", "--no-such-option"], capture_output=True, text=True).stderr
    assert explain(log, job).message == "this pyOCD does not know what it is asked"
    log = subprocess.run(
        [REAL, "commander", "--no-wait", "-O", "no_such=1", "-c", "reset"], capture_output=True, text=True
    ).stderr
    assert explain(log, job).message == "this pyOCD does not know what it is asked"


@pytest.mark.skipif(not importlib.util.find_spec("pyocd"), reason="pyocd is missing: pip install -e '.[test]'")
def test_real_pyocds_commands_options_and_wording():
    """What no probe is needed for: names, defaults and formats that run_pyocd and FAILURES rely on, from the library
    itself.
    """
    import pyocd.commands.commands  # noqa: F401  (fills the command sets)
    from pyocd.commands.base import ALL_COMMANDS
    from pyocd.core import exceptions, options
    from pyocd.probe.stlink.constants import Status
    from pyocd.utility.hex import dump_hex_data_to_str

    names = {name for group in ALL_COMMANDS["standard"] for name in group.INFO["names"]}
    assert {"reset", "read32", "load", "compare"} <= names
    assert all(option.partition("=")[0] in options.OPTIONS_INFO for option in OPTIONS)
    assert (
        dump_hex_data_to_str([0x10036470], start_address=0xE0042000, width=32) == looked().splitlines(keepends=True)[2]
    )
    said = {
        str(
            exceptions.FlashEraseFailure("flash erase sector failure", address=0x08000000, result_code=1)
        ): "the flash could not be written",
        str(
            exceptions.TransferFaultError("STLink error (17): AP fault", fault_address=0x08000000, length=4)
        ): "the chip refuses access",
        Status.get_error_message(Status.JTAG_GET_IDCODE_ERROR): "the probe answers but the chip does not",
        Status.get_error_message(Status.JTAG_NO_DEVICE_CONNECTED): "the probe answers but the chip does not",
    }
    for log, message in said.items():
        assert next(failure for failure in FAILURES if re.search(failure.said, log)).message.startswith(message), log


def test_docs_quote_every_failure():
    text = (Path(__file__).resolve().parents[3] / "docs/flash.md").read_text().replace("\\|", "|")
    for failure in FAILURES:
        assert f"| {failure.message} | `{failure.said}` | {failure.hint} |" in text, failure.message
