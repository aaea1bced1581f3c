"""`tinyflow flash` whole: a foreign model built for the Nucleo, its real image dragged to a drive and said by a
scripted OpenOCD.
"""

import json
import shutil

import pytest
from firmware_models import foreign
from scripted import BOARD, SERIAL

from tinyflow.cli import main

pytestmark = pytest.mark.skipif(
    not shutil.which("arm-none-eabi-gcc"),
    reason="arm-none-eabi-gcc is missing: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreign")
    return foreign(folder).tflite, folder / "runs"


@pytest.fixture
def command(model, usb, capsys):
    """Runs `tinyflow flash` on the made-up machine; its exit status and what it prints."""

    def command(*arguments: str) -> tuple[int, str]:
        status = 0
        try:
            main(["flash", "--tflite", str(model[0]), "--runs", str(model[1]), *arguments])
        except SystemExit as end:
            status = end.code or 0
        return status, capsys.readouterr().out

    return command


@pytest.mark.slow
def test_dry_run_then_flash_then_a_dry_run_that_knows_the_image(command, usb, openocd):
    status, said = command("--dry-run", "--json")
    assert status == 1 and "no debug probe of nucleo-l4r5zi" in json.loads(said)["error"]
    usb.plug(SERIAL)
    arguments = openocd()
    status, said = command("--dry-run", "--json", "--no-hello")
    answer = json.loads(said)
    assert (
        status == 0
        and answer["flash"] is None
        and [step["stage"] for step in answer["steps"]][-1] == "build"
        and not arguments.exists()
    )
    status, said = command("--json")
    assert (
        status == 1
        and json.loads(said)["error"] == f"no console: the probe {SERIAL} has no serial port here"
        and not arguments.exists()
    )
    status, said = command("--json", "--no-hello")
    answer = json.loads(said)
    assert status == 0 and set(answer) == {
        "board",
        "way",
        "tool",
        "why",
        "probe",
        "bytes",
        "address",
        "build",
        "seconds",
        "verified",
        "chip",
        "flash_mode",
        "log",
        "console",
        "confirmed",
        "note",
    }
    assert answer["verified"] and answer["board"] == BOARD.name and "verify reset exit" in arguments.read_text()
    arguments.unlink()
    status, said = command("--dry-run", "--no-hello")
    assert (
        status == 0
        and "of nucleo-l4r5zi, build " in said
        and "through OpenOCD 0.12.0 (the first choice), probe " + SERIAL in said
        and not arguments.exists()
    )
    status, said = command("--no-hello")
    assert (
        status == 0
        and "nucleo-l4r5zi programmed" in said
        and "read back and equal" in said
        and "flash mode: dual-bank" in said
    )


def test_the_real_image_on_a_drive(command, usb, tmp_path, monkeypatch):
    from tinyflow.deploy.flash import mass_storage

    monkeypatch.setattr(mass_storage, "SETTLE_SECONDS", 0.3)
    drive = usb.plug(SERIAL, drive="NODE_L4R5ZI").drive
    status, said = command("--with", "mass-storage", "--no-hello", "--json")
    answer, data = json.loads(said), (drive / "firmware.bin").read_bytes()
    assert status == 0 and answer["bytes"] == len(data) and answer["address"] == 0x08000000 and not answer["verified"]
    stack, reset = (int.from_bytes(data[place : place + 4], "little") for place in (0, 4))
    ram = BOARD.region("RAM")
    # a vector table
    assert ram.origin < stack <= ram.origin + ram.length and 0x08000001 <= reset < 0x08000000 + len(data) and reset & 1
    assert answer["build"].encode() in data
