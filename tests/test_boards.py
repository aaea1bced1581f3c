"""Boards are data: the shipped ones are consistent, and a new one is a copied folder (docs/boards.md)."""

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from keyword_model import keyword_model

from tinyflow.artefacts import BOARDS
from tinyflow.board import Board, board_names, load_board
from tinyflow.deploy.build import build
from tinyflow.deploy.places.place import choose_place
from tinyflow.errors import TinyflowError

ROOT = BOARDS.parent


def copy_board(source: str, folder: Path, change) -> Path:
    """A copy of ``source`` as ``folder`` with board.yaml changed by ``change(dict)``."""
    shutil.copytree(BOARDS / source, folder)
    value = yaml.safe_load((folder / "board.yaml").read_text())
    change(value)
    (folder / "board.yaml").write_text(yaml.safe_dump(value))
    return folder


@pytest.mark.parametrize("name", board_names())
def test_shipped_boards_are_consistent(name):
    board = load_board(name)
    assert board.name == name and (ROOT / "firmware/port" / board.port / "port.c").is_file()
    assert board.counter.rate > 0
    if board.core.compiler == "host":
        assert not board.memory
    else:
        assert (
            board.region("FLASH").length > 0
            and board.region("RAM").length > board.stack_bytes
            and board.stack_bytes % 8 == 0
        )
        assert board.core.fpu == ("-mfloat-abi=hard" in board.core.flags)
    if board.probe:
        assert not board.probe.openocd or Path(board.folder, board.probe.openocd.config).is_file()
        assert all(re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", usb_id) for usb_id in board.probe.usb_ids)
    if board.qemu:  # virtual time per instruction and per tick give the instructions of a tick
        counter = choose_place(board, "qemu").counter
        assert (
            counter.unit == "instructions" and counter.rate == 10**9 / counter.frequency_hz / 2**board.qemu.icount_shift
        )


@pytest.mark.parametrize(
    "name, flash, ram", [("nucleo-l4r5zi", 2 * 2**20, 640 * 2**10), ("b-l475e-iot01a", 2**20, 96 * 2**10)]
)
def test_stm32l4_have_the_memory_of_their_data_sheets(name, flash, ram):
    board = load_board(name)
    assert (board.region("FLASH").origin, board.region("FLASH").length) == (0x08000000, flash)
    assert (board.region("RAM").origin, board.region("RAM").length) == (0x20000000, ram)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    if not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is missing: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi")
    return keyword_model(tmp_path_factory.mktemp("model"))


def test_a_copied_folder_is_a_board_and_builds_at_its_own_addresses(tmp_path, compiled):
    def smaller(value: dict) -> None:
        value["title"] = "mine"
        value["memory"] = [
            {"name": "FLASH", "origin": 0x08010000, "length": 0x40000},
            {"name": "RAM", "origin": 0x20010000, "length": 0x18000},
        ]
        value["stack_bytes"] = 4096

    board = load_board(str(copy_board("nucleo-l4r5zi", tmp_path / "my-board", smaller)))
    assert board.name == "my-board" and board.title == "mine" and Path(board.folder) == tmp_path / "my-board"
    firmware = build(compiled, board, tmp_path / "build")
    listing = subprocess.run(
        ["arm-none-eabi-objdump", "-h", firmware.elf], capture_output=True, text=True, check=True
    ).stdout
    addresses = {name: int(address, 16) for name, address in re.findall(r"^ +\d+ (\.\w+) +\w+ +(\w+)", listing, re.M)}
    assert addresses[".vectors"] == 0x08010000 and addresses[".stack"] == 0x20010000
    assert (
        firmware.board == "my-board" and firmware.stack_reserved_bytes == 4096 and firmware.sections[".stack"] == 4096
    )


def test_a_board_that_is_too_small_says_by_how_much(tmp_path, compiled):
    def tiny(value: dict) -> None:
        value["memory"] = [
            {"name": "FLASH", "origin": 0x08000000, "length": 0x4000},
            {"name": "RAM", "origin": 0x20000000, "length": 0x18000},
        ]

    board = load_board(str(copy_board("nucleo-l4r5zi", tmp_path / "tiny", tiny)))
    with pytest.raises(TinyflowError, match=r"does not fit tiny: FLASH overflows by [\d,]+ bytes of 16,384"):
        build(compiled, board, tmp_path / "build")
    assert not (tmp_path / "build").exists()


def test_another_clock_is_refused_by_the_port(tmp_path, compiled):
    board = load_board(
        str(copy_board("nucleo-l4r5zi", tmp_path / "slow", lambda value: value.update(clock_hz=80_000_000)))
    )
    with pytest.raises(TinyflowError, match="board.yaml's clock_hz is not what this port sets"):
        build(compiled, board, tmp_path / "build")


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda value: value.update(tilte="x"), "tilte"),
        (lambda value: value.pop("core"), "core"),
        (lambda value: value["memory"][0].update(name="ROM"), "ROM"),
        (lambda value: value["counter"].update(unit="ticks"), "ticks"),
    ],
)
def test_a_wrong_key_is_named(tmp_path, change, said):
    folder = copy_board("mps2-an386", tmp_path / "wrong", change)
    with pytest.raises(TinyflowError) as caught:
        load_board(str(folder))
    assert "board.yaml" in caught.value.message and said in caught.value.message


def test_where_a_board_runs_is_not_its_own_fact(tmp_path):
    folder = copy_board("mps2-an386", tmp_path / "mine", lambda value: value.update(emulator="renode"))
    with pytest.raises(TinyflowError, match="emulator is 'renode'") as error:
        load_board(str(folder))
    assert "--emulator" in error.value.hint


def test_unknown_board_suggests_the_nearest():
    with pytest.raises(TinyflowError) as caught:
        load_board("nucleo-l4r5")
    assert "nucleo-l4r5zi" in caught.value.hint


def test_docs_list_every_key():
    text = (ROOT / "docs/boards.md").read_text()
    for field in dataclasses.fields(Board):
        if field.name not in ("name", "folder", "emulator"):  # found, or chosen by each command
            assert f"`{field.name}" in text, field.name


def test_boards_says_what_runs_here_now(tmp_path, monkeypatch):
    from tinyflow.deploy.places.readiness import places_here

    (tmp_path / "qemu-system-arm").write_text("#!/bin/sh\necho QEMU emulator version 7.2.22\n")
    (tmp_path / "qemu-system-arm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv("RENODE", str(tmp_path / "nowhere"))
    boards = [load_board(name) for name in ("mps2-an386", "b-l475e-iot01a", "nucleo-l4r5zi", "host")]
    found = {name: {place.name: place for place in places} for name, places in places_here(boards).items()}
    assert found["mps2-an386"]["qemu"].ready and found["mps2-an386"]["qemu"].found == "QEMU 7.2.22 (mps2-an386)"
    old = found["b-l475e-iot01a"]["qemu"]
    assert not old.ready and old.found == "QEMU 7.2.22 is older than 9.1 (b-l475e-iot01a)"
    assert not found["nucleo-l4r5zi"]["renode"].ready and "is not a program" in found["nucleo-l4r5zi"]["renode"].found
    assert found["host"]["host"].ready and set(found["nucleo-l4r5zi"]) == {"renode", "serial"}
