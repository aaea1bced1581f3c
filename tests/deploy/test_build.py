"""Building: what is in the image, that it is the same everywhere, and how failures read."""

import json
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile
from targets import met

from tinyflow.board import Memory, load_board
from tinyflow.deploy.artefact import load_firmware
from tinyflow.deploy.build import build, compiler_version
from tinyflow.deploy.device import connect
from tinyflow.deploy.image.sizes import measure
from tinyflow.errors import TinyflowError
from tinyflow.objects import Workbench, environment

cross = pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc: make setup")


def functions(firmware) -> set[str]:
    return {symbol.name for symbol in measure(firmware.elf).functions}


@cross
def test_equal_inputs_give_an_equal_image_wherever_it_is_built(foreign_model, tmp_path):
    board = load_board("mps2-an386")
    one, two = build(foreign_model, board, tmp_path / "a"), build(foreign_model, board, tmp_path / "deeper" / "b")
    assert one.elf.read_bytes() == two.elf.read_bytes()
    assert one.build_id == two.build_id and one.build_id.encode() in one.elf.read_bytes()
    assert str(tmp_path).encode() not in one.elf.read_bytes()
    assert load_firmware(tmp_path / "a") == one
    assert json.loads((tmp_path / "a" / "compile_commands.json").read_text())[0]["directory"].startswith(
        str(tmp_path / "a")
    )
    assert (tmp_path / "a" / "firmware.map").stat().st_size > 1000
    other = build(foreign_model, replace(board, stack_bytes=4096), tmp_path / "c")
    assert other.build_id != one.build_id and other.ram_bytes == one.ram_bytes - 4096


@cross
def test_a_foreign_model_carries_neither_front_end_nor_clips_nor_other_kernels(foreign_model, tmp_path):
    firmware = build(foreign_model, load_board("mps2-an386"), tmp_path / "out")
    names = functions(firmware)
    assert not [name for name in names if name.startswith(("frontend", "stream", "command_audio"))]
    assert firmware.clips == 0 and ".selftest" not in firmware.sections
    assert (
        "conv_2d_packed_s8" in names
        and "conv_2d_s8" not in names
        and "gather_s8" not in names
        and "concatenation_s8" not in names
    )
    assert not {"printf", "malloc", "_sbrk", "__aeabi_uldivmod"} & names


@cross
def test_sizes_are_those_of_the_image(foreign_model, tmp_path):
    firmware = build(foreign_model, load_board("mps2-an386"), tmp_path / "out")
    with open(firmware.elf, "rb") as file:
        segments = [segment.header for segment in ELFFile(file).iter_segments("PT_LOAD")]
    assert firmware.flash_bytes == sum(segment.p_filesz for segment in segments)
    assert firmware.model_bytes == foreign_model.model_bytes > 100
    assert firmware.ram_bytes >= firmware.arena_bytes + firmware.stack_reserved_bytes
    assert firmware.ram_bytes == sum(
        size for name, size in firmware.sections.items() if name in (".data", ".bss", ".stack")
    )
    assert (
        "-O2" in firmware.flags
        and "-ffp-contract=off" in firmware.flags
        and "-mcpu=cortex-m4" in firmware.flags
        and "/" not in firmware.flags
    )
    assert firmware.compiler == compiler_version(load_board("mps2-an386"))


@cross
def test_the_nucleo_image_lies_at_its_addresses(speaking_model, tmp_path):
    firmware = build(speaking_model, load_board("nucleo-l4r5zi"), tmp_path / "out", clips=1)
    with open(firmware.elf, "rb") as file:
        elf = ELFFile(file)
        vectors = elf.get_section_by_name(".vectors")
        stack, entry = int.from_bytes(vectors.data()[:4], "little"), int.from_bytes(vectors.data()[4:8], "little")
        assert vectors["sh_addr"] == 0x08000000 and elf.header["e_entry"] == entry
        assert stack == 0x20000000 + 8192 and 0x08000000 < entry < 0x08200000 and entry & 1
        assert all(section["sh_addr"] >= 0x08000000 for section in elf.iter_sections() if section["sh_flags"] & 2)
    assert firmware.clips == 1 and firmware.sections[".selftest"] > 32000


@cross
@pytest.mark.parametrize(
    "memory, region, largest",
    [({"FLASH": 8192}, "FLASH", "largest in flash: "), ({"RAM": 10000}, "RAM", "RAM holds .stack 8,192")],
)
def test_an_image_that_does_not_fit_says_by_how_much_and_what_is_large(
    foreign_model, tmp_path, memory, region, largest
):
    board = load_board("mps2-an386")
    small = replace(
        board, memory=tuple(Memory(item.name, item.origin, memory.get(item.name, item.length)) for item in board.memory)
    )
    fits = build(foreign_model, board, tmp_path / "out")
    with pytest.raises(TinyflowError, match=f"{region} overflows by") as error:
        build(foreign_model, small, tmp_path / "out")
    used = fits.flash_bytes if region == "FLASH" else fits.ram_bytes
    said = int(error.value.message.split("overflows by ")[1].split(" ")[0].replace(",", ""))
    assert abs(said - (used - memory[region])) <= 8  # alignment between sections
    assert largest in error.value.message and error.value.hint
    assert load_firmware(tmp_path / "out") == fits  # the former build is untouched
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_tools_speak_english_whatever_the_locale_and_see_no_stray_flags(monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("LANGUAGE", "de")
    monkeypatch.setenv("CFLAGS", "-O0")
    monkeypatch.setenv("CPATH", "/elsewhere")
    command = ["sh", "-c", 'echo "$LC_MESSAGES|$LC_CTYPE|$LC_ALL$LANGUAGE$CFLAGS$CPATH|"']
    said = subprocess.run(command, env=environment(), capture_output=True, text=True).stdout
    assert said == "C|de_DE.UTF-8||\n"


@cross
def test_stray_flags_and_headers_of_the_environment_stay_out(foreign_model, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYFLOW_CACHE", "")
    board = load_board("mps2-an386")
    plain = build(foreign_model, board, tmp_path / "plain")
    (tmp_path / "stray").mkdir()
    (tmp_path / "stray" / "stdint.h").write_text("#error stray\n")
    for name in ("CFLAGS", "CPPFLAGS", "LDFLAGS"):
        monkeypatch.setenv(name, "-O0 -DNONSENSE -nonsense")
    for name in ("CPATH", "C_INCLUDE_PATH"):
        monkeypatch.setenv(name, str(tmp_path / "stray"))
    assert build(foreign_model, board, tmp_path / "out").elf.read_bytes() == plain.elf.read_bytes()


@cross
def test_a_second_build_of_the_same_is_a_link(foreign_model, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYFLOW_CACHE", str(tmp_path / "cache"))
    commands, run = [], Workbench.run
    monkeypatch.setattr(Workbench, "run", lambda bench, command: commands.append(command) or run(bench, command))
    board = load_board("mps2-an386")
    one = build(foreign_model, board, tmp_path / "one")
    assert len(commands) == len(json.loads((tmp_path / "one" / "compile_commands.json").read_text())) + 1 > 40
    commands.clear()
    two = build(foreign_model, board, tmp_path / "two")
    assert len(commands) == 1 and "firmware.elf" in commands[0] and two.elf.read_bytes() == one.elf.read_bytes()
    commands.clear()
    build(foreign_model, load_board("nucleo-l4r5zi"), tmp_path / "three")  # of the same core
    assert not [command for command in commands if "kernels" in command[-1]]
    monkeypatch.setenv("TINYFLOW_CACHE", "")
    assert build(foreign_model, board, tmp_path / "four").elf.read_bytes() == one.elf.read_bytes()


def test_a_damaged_image_is_noticed_before_it_runs(foreign_model, tmp_path):
    board = load_board("mps2-an386")
    firmware = build(foreign_model, board, tmp_path / "out")
    image = bytearray(firmware.elf.read_bytes())
    image[len(image) // 2] ^= 1
    firmware.elf.write_bytes(image)
    with pytest.raises(TinyflowError, match="firmware.elf is not the file that was built"):
        connect(firmware, met(board))


@pytest.mark.parametrize("board", ["host", "mps2-an386"])
def test_any_path_will_do(foreign_model, tmp_path, board, monkeypatch):
    monkeypatch.setenv("TINYFLOW_CACHE", "")
    plain = build(foreign_model, load_board(board), tmp_path / "plain")
    folder = tmp_path / 'zwei "Wörter" $x;=\'#, 模型 (1) back\\slash'
    firmware = build(foreign_model, load_board(board), folder)
    assert firmware.elf.read_bytes() == plain.elf.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((folder.name, "plain")), "nothing lands beside"


def test_compile_commands_work_from_anywhere(speaking_model, tmp_path):
    """As an editor runs them: of each, the compiler takes the command as it stands."""
    build(speaking_model, load_board("host"), tmp_path / "my out")
    commands = json.loads((tmp_path / "my out" / "compile_commands.json").read_text())
    names = {Path(entry["file"]).name for entry in commands}
    assert {"model.c", "commands.c", "port.c", "softmax_s8.c", "frontend.c", "selftest.c", "listen.c"} < names
    for entry in commands:
        assert Path(entry["file"]).is_file() and Path(entry["directory"]).is_dir()
        subprocess.run([*shlex.split(entry["command"]), "-fsyntax-only"], cwd=entry["directory"], check=True)


def test_a_missing_cross_compiler_names_the_way_out(foreign_model, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TinyflowError, match="arm-none-eabi-gcc is not installed") as error:
        build(foreign_model, load_board("mps2-an386"), tmp_path / "out")
    assert "make setup" in error.value.hint


@cross
def test_what_the_compiler_says_is_quoted(foreign_model, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(foreign_model.folder, folder)
    with open(folder / "c" / "model.c", "a") as file:
        file.write("int broken(void) { return undeclared; }\n")
    with pytest.raises(TinyflowError, match=r"(?m)^generated/model.c:\d+:\d+: error: .undeclared. undeclared"):
        build(replace(foreign_model, folder=folder), load_board("mps2-an386"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_generated_c_is_named(foreign_model, tmp_path):
    with pytest.raises(TinyflowError, match="model.c does not exist"):
        build(replace(foreign_model, folder=tmp_path), load_board("host"), tmp_path / "out")


def test_clips_of_another_model_are_refused(speaking_model, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(speaking_model.folder, folder)
    with np.load(speaking_model.selftest) as stored:
        np.savez(folder / "selftest.npz", **{**stored, "features": stored["features"][:, 1:]})
    with pytest.raises(TinyflowError, match="another model"):
        build(replace(speaking_model, folder=folder), load_board("host"), tmp_path / "out")


def test_clips_without_fixed_point_features_are_refused(speaking_model, tmp_path):
    folder = tmp_path / "older"
    shutil.copytree(speaking_model.folder, folder)
    with np.load(speaking_model.selftest) as stored:
        np.savez(
            folder / "selftest.npz", **{key: value for key, value in stored.items() if not key.startswith("fixed_")}
        )
    with pytest.raises(TinyflowError, match="has no fixed_features"):
        build(replace(speaking_model, folder=folder), load_board("mps2-an385"), tmp_path / "out")
