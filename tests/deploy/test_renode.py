"""The Nucleo under Renode: the image that `tinyflow flash` programs boots to its answer there; what failures say, with
and without Renode.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from firmware_models import misbehaving
from targets import met, on

from tinyflow.board import Board, board_names, load_board
from tinyflow.deploy.build import build
from tinyflow.deploy.device import Device, connect
from tinyflow.deploy.places import renode
from tinyflow.deploy.places.place import Place, choose_place, emulator_version
from tinyflow.deploy.places.renode import find_renode, parse_version, renode_command, renode_environment, start_renode
from tinyflow.deploy.validate import validate
from tinyflow.errors import TinyflowError

needs_renode = pytest.mark.renode
TARGET = pytest.mark.parametrize("speaking_built", [pytest.param("nucleo-l4r5zi", marks=needs_renode)], indirect=True)


def under(board: Board) -> Place:
    return choose_place(board, "renode")


@pytest.fixture(scope="module")
def nucleo() -> Board:
    return load_board("nucleo-l4r5zi")


@pytest.fixture(scope="module")
def stubborn(tmp_path_factory, nucleo):
    """Firmware that ends in the way its input names."""
    folder = tmp_path_factory.mktemp("stubborn")
    return build(misbehaving(folder / "model"), nucleo, folder / "out")


@pytest.fixture
def own_platform(tmp_path, nucleo):
    """(change) -> the board with its platform's text changed."""

    def make(change) -> Board:
        folder = tmp_path / "a board"  # paths with spaces reach Renode whole
        shutil.copytree(nucleo.folder, folder)
        path = folder / nucleo.renode.platform
        path.write_text(change(path.read_text()))
        return replace(nucleo, folder=str(folder))

    return make


@TARGET
def test_the_flashed_image_boots_to_its_answers(speaking_built, clips, tmp_path):
    """One machine, asked everything: clock and console as on the chip, self-test, rows, recordings, counts."""
    firmware, board = speaking_built.firmware, under(speaking_built.board)
    with connect(firmware, board) as device:
        assert re.fullmatch(r"Renode \d+\.\d+\.\d+ \(nucleo-l4r5zi\)", device.console.transport.name)
        assert device.hello_line["warning"] == "" and device.hello_line["counter"] == "dwt"
        result = device.selftest()
        assert (
            result["passed"]
            and result["features_equal"] == result["answers_equal"] == 3
            and result["unit"] == "instructions"
        )
        for count in (1, 7, 1000, 12345, 10_000_000):  # two instructions an iteration
            assert 2 * count <= device.loop(count) <= 2 * count + 4
        profile = device.profile(audio=clips[0])
        again = device.profile(audio=clips[0])
    invoke, frame = profile["invoke"]["units"], profile["frontend"]["frame"]["units"]
    assert invoke > speaking_built.compiled.macs and profile["unit"] == "instructions"
    assert abs(sum(layer["units"] for layer in profile["layers"]) - invoke) < 0.005 * invoke
    assert abs(sum(step["units"] for step in profile["frontend"]["steps"].values()) - frame) < 0.005 * frame
    assert abs(again["invoke"]["units"] - invoke) <= 8
    if shutil.which(
        "qemu-system-arm"
    ):  # the same core and compiler elsewhere: the network is counted alike, within QEMU's two ticks of 5
        other = load_board("mps2-an386")
        with connect(build(speaking_built.compiled, other, tmp_path / "out"), met(other)) as device:
            there = device.profile(audio=clips[0])
        for here, elsewhere in zip(
            [profile["invoke"], *profile["layers"]], [there["invoke"], *there["layers"]], strict=True
        ):
            assert abs(here["units"] - elsewhere["units"]) <= 10


@TARGET
def test_rows_and_recordings_are_bit_exact(speaking_built, clips):
    result = validate(
        on(speaking_built.firmware, under(speaking_built.board), speaking_built.compiled), n=2, audio=clips[:1]
    )
    assert result.passed and all(check.passed for check in vars(result.parity).values())


@needs_renode
def test_faults_are_reported(stubborn, nucleo):
    # Renode 1.14 leaves out the address by which a stack overflow is told from any other access
    for kind, said in ((1, "undefined instruction"), (3, "(stack overflow|memory protection: data access)")):
        with connect(stubborn, under(nucleo)) as device, pytest.raises(TinyflowError, match=f"{said}.*cfsr 0x"):
            device.infer(np.full(8, kind, np.int8))


@needs_renode
def test_a_hang_ends_by_virtual_time_and_an_idle_firmware_does_not(stubborn, nucleo):
    device = Device(under(nucleo), start_renode(stubborn, nucleo, seconds=0.5), timeout=120)
    process = device.console.transport._process
    with device:
        for _ in range(2):
            device.hello()
            subprocess.run(["sleep", "1.5"], check=True)  # several virtual seconds in which nothing is owed
        with pytest.raises(
            TinyflowError,
            match=r"Renode [\d.]+ \(nucleo-l4r5zi\) ended: the firmware has said nothing for 0.5 s of virtual time",
        ):
            device.infer(np.full(8, 5, np.int8))
        process.wait(20)


@needs_renode
def test_a_dead_peripheral_is_reported_by_the_firmware(stubborn, own_platform):
    """The port's own start-up checks meet a regulator that never gets there."""
    board = own_platform(lambda text: text.replace("0x40007014 0x100", "0x40007014 0x500"))
    with pytest.raises(TinyflowError, match="VOSF of PWR_SR2 stays 1"):
        connect(stubborn, under(board))


@needs_renode
@pytest.mark.parametrize(
    "change, match",
    [
        (
            lambda text: text.replace("CPU.CortexM", "CPU.CortexQ"),
            "does not load the machine of nucleo-l4r5zi: .*CortexQ",
        ),
        (lambda text: text.replace("lpuart1:", "lpuart9:"), "does not load the machine of nucleo-l4r5zi: .*lpuart1"),
    ],
)
def test_a_wrong_platform_is_quoted(stubborn, own_platform, change, match):
    with pytest.raises(TinyflowError, match=re.compile(match, re.S)):
        start_renode(stubborn, own_platform(change))


@needs_renode
def test_renode_ends_with_us_even_behind_a_script(stubborn, nucleo, tmp_path, monkeypatch):
    """The parent is killed; the script that started Renode dies with it, and Renode, its child, when its input ends."""
    wrapper = tmp_path / "renode.sh"
    wrapper.write_text(f'#!/bin/sh\n"{find_renode()}" "$@"\necho unreached\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("RENODE", str(wrapper))
    code = f"""
import os, subprocess
from tinyflow.board import load_board
from tinyflow.deploy.artefact import load_firmware
from tinyflow.deploy.device import connect
from tinyflow.deploy.places.place import choose_place
device = connect(load_firmware({str(stubborn.folder)!r}), choose_place(load_board("nucleo-l4r5zi"), "renode"))
print(device.console.transport._process.pid, flush=True)
os.kill(os.getpid(), {int(signal.SIGKILL)})
"""
    group = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120).stdout)
    for _ in range(100):
        left = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True).stdout.splitlines()
        if not any(line.split()[0] == str(group) and not line.split()[1].startswith("Z") for line in left):
            return
        subprocess.run(["sleep", "0.1"], check=True)
    os.killpg(group, signal.SIGKILL)
    pytest.fail("Renode outlived us by ten seconds")


def fake(tmp_path: Path, monkeypatch, script: str) -> None:
    """A program in Renode's place, for what Renode itself does only when something is wrong."""
    path = tmp_path / "renode"
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    monkeypatch.setenv("RENODE", str(path))


@pytest.fixture
def image(tmp_path):
    from types import SimpleNamespace

    (tmp_path / "firmware.elf").write_bytes(b"")
    return SimpleNamespace(elf=tmp_path / "firmware.elf")


@pytest.mark.parametrize(
    "said, version",
    [
        ("Renode v1.15.3.5846\n  build: 03756cb5-mcs\n  build type: Release", (1, 15, 3)),
        ("Renode, version 1.9.0.28176 (d8dae0ad-202004291231)", (1, 9, 0)),
        ("Renode, version 1.16.1 (abc)", (1, 16, 1)),
    ],
)
def test_versions_are_read(said, version):
    assert parse_version(said) == version


def test_no_version_no_renode():
    with pytest.raises(TinyflowError, match="does not say its version: 'hello'"):
        parse_version("hello")


def test_without_renode_the_way_out_is_named(monkeypatch, tmp_path, nucleo, image):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("RENODE", raising=False)
    with pytest.raises(TinyflowError, match="Renode is not installed") as error:
        emulator_version("renode")
    assert "RENODE=" in error.value.hint
    with pytest.raises(
        TinyflowError, match="board nucleo-l4r5zi runs under Renode here: Renode is not installed"
    ) as error:
        start_renode(image, nucleo)
    assert "RENODE=" in error.value.hint and "; or connect the board's ST-LINK USB port" in error.value.hint
    monkeypatch.setenv("RENODE", str(tmp_path / "nowhere"))
    with pytest.raises(TinyflowError, match="RENODE=.*nowhere is not a program"):
        find_renode()


@pytest.mark.parametrize(
    "script, match",
    [
        (
            "echo 'Renode, version 1.9.0.28176 (d8dae0ad)'; sleep 20",
            r"Renode is 1\.9\.0; board nucleo-l4r5zi needs 1\.",
        ),
        (
            "echo no mono here >&2; exit 127",
            "Renode .nucleo-l4r5zi. did not start: exit status 127; stderr: no mono here",
        ),
        (
            "echo 'Renode v1.15.3.1'; echo boom >&2; kill -9 $$",
            "Renode 1.15.3 .nucleo-l4r5zi. does not load the machine of nucleo-l4r5zi: boom",
        ),
        (  # Renode started by a script, as its own source tree has one: the shell's word about the signal is left out
            """echo 'Renode v1.16.1.1'; sh -c 'echo boom >&2; kill -9 $$'""",
            "Renode 1.16.1 .nucleo-l4r5zi. does not load the machine of nucleo-l4r5zi: boom\n",
        ),
        ("echo 'a warning' > renode.log; sleep 20", "built no machine of nucleo-l4r5zi in 0.5 s; its log: a warning"),
    ],
)
def test_a_renode_that_fails_is_quoted(monkeypatch, tmp_path, nucleo, image, script, match):
    fake(tmp_path, monkeypatch, script)
    if "renode.log" in script:
        monkeypatch.setattr(renode, "START_SECONDS", 0.5)
    with pytest.raises(TinyflowError, match=match):
        start_renode(image, nucleo)


def test_a_missing_image_or_platform_is_named(tmp_path, nucleo, image):
    with pytest.raises(TinyflowError, match="none.elf does not exist"):
        start_renode(type(image)(elf=tmp_path / "none.elf"), nucleo)
    with pytest.raises(TinyflowError, match="board mps2-an386 does not run under Renode"):
        start_renode(image, load_board("mps2-an386"))
    wrong = replace(nucleo, renode=replace(nucleo.renode, platform="none.repl"))
    with pytest.raises(TinyflowError, match="none.repl does not exist") as error:
        renode_environment(image, wrong, 1.0)
    assert "@platforms" in error.value.hint


def test_the_command_opens_no_port_and_the_machine_is_the_boards(monkeypatch, tmp_path, nucleo, image):
    fake(tmp_path, monkeypatch, "")
    command = renode_command()
    assert (
        command[0] == str(tmp_path / "renode")
        and command[command.index("--port") + 1] == "-2"
        and "--disable-xwt" in command
    )
    told = renode_environment(image, nucleo, 2.5)
    assert (
        told["TINYFLOW_PLATFORM"] == f"{nucleo.folder}/nucleo-l4r5zi.repl" and told["TINYFLOW_UART"] == "sysbus.lpuart1"
    )
    assert told["TINYFLOW_MIPS"] == "120" and told["TINYFLOW_SECONDS"] == "2.5"
    shipped = replace(nucleo, renode=replace(nucleo.renode, platform="@platforms/cpus/nrf52840.repl"))
    # Renode finds its own
    assert renode_environment(image, shipped, 1.0)["TINYFLOW_PLATFORM"] == "platforms/cpus/nrf52840.repl"


@pytest.mark.parametrize("name", [name for name in board_names() if load_board(name).renode])
def test_boards_under_renode_count_what_the_firmware_reads(name):
    board = load_board(name)
    here, there = board.renode.counter, board.counter
    assert (here.name, here.width_bits, here.rate, here.unit) == (there.name, there.width_bits, 1, "instructions")


def test_the_platform_has_the_boards_memory(nucleo):
    text = Path(nucleo.folder, nucleo.renode.platform).read_text()
    regions = [
        (int(at, 0), int(size, 0))
        for at, size in re.findall(r"MappedMemory @ (?:\{ )?sysbus (0x\w+).*\n    size: (0x\w+)", text)
    ]
    assert regions[0] == (nucleo.region("FLASH").origin, nucleo.region("FLASH").length)
    ram, end = regions[1:], nucleo.region("RAM").origin
    for origin, size in ram:  # contiguous
        assert origin == end
        end += size
    assert end == nucleo.region("RAM").origin + nucleo.region("RAM").length
    assert "sysbus 0x20030000; sysbus 0x10000000" in text and ram[1][1] == 0x10000  # SRAM2 and its alias, 64 KiB


@pytest.mark.parametrize("version, flawed", [((1, 15, 3), True), ((1, 16, 0), False)])
def test_what_an_old_renode_computes_wrongly_is_the_hint(monkeypatch, nucleo, version, flawed):
    from tinyflow.cli.device import _hint
    from tinyflow.deploy.places import renode

    monkeypatch.setattr(renode, "renode_version", lambda: version)
    said = _hint(under(nucleo), "usual")
    assert ("GE flags" in said) == flawed and (said == "usual") != flawed
    assert _hint(met(load_board("mps2-an386")), "usual") == "usual"
