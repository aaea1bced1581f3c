"""The recipe of docs/boards.md, followed to the letter: its board.yaml and its commands are read from that page."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from firmware_models import small_network

from tinyflow.artefacts import BOARDS
from tinyflow.board import load_board
from tinyflow.reference import oracle

PAGE = BOARDS.parent / "docs" / "boards.md"


def block(language: str) -> str:
    """The one fenced block of ``language`` in the recipe."""
    recipe = PAGE.read_text().partition("## Add a board")[2].partition("\n## ")[0]
    (found,) = re.findall(rf"```{language}\n(.*?)```", recipe, re.DOTALL)
    return found


def test_the_recipe_is_numbered():
    steps = re.findall(
        r"^(\d+)\. ", PAGE.read_text().partition("## Add a board in seven steps")[2].partition("\n## ")[0], re.MULTILINE
    )
    assert steps == [str(number) for number in range(1, 8)]


@pytest.mark.slow
@pytest.mark.qemu
def test_a_board_made_by_the_recipe_builds_runs_validates_and_profiles(tmp_path):
    (tmp_path / "my_board").mkdir()
    (tmp_path / "my_board" / "board.yaml").write_text(block("yaml"))
    board = load_board(str(tmp_path / "my_board"))
    assert board.name == "my_board" and board.name not in {path.name for path in BOARDS.iterdir()}
    nearest = load_board("mps2-an386")
    assert (
        board.region("RAM") != nearest.region("RAM") and board.region("FLASH").length < nearest.region("FLASH").length
    )

    (tmp_path / "model.tflite").write_bytes(small_network())
    rows = np.random.default_rng(3).integers(-128, 128, (3, 49, 40, 1), dtype=np.int8)
    np.save(tmp_path / "rows.npy", rows)
    said = {}
    for line in block("sh").splitlines():
        program, name, *arguments = line.partition("#")[0].split()
        assert program == "tinyflow"
        done = subprocess.run(
            [sys.executable, "-m", "tinyflow.cli", name, *arguments, "--json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        said[name] = json.loads(done.stdout)
    assert list(said) == ["build", "run", "validate", "profile"]

    elf = Path(tmp_path, said["build"]["run"], "build", "my_board", "firmware.elf")
    listing = subprocess.run(["arm-none-eabi-objdump", "-h", elf], capture_output=True, text=True, check=True).stdout
    addresses = {name: int(address, 16) for name, address in re.findall(r"^ +\d+ (\.\w+) +\w+ +(\w+)", listing, re.M)}
    assert addresses[".vectors"] == board.region("FLASH").origin and addresses[".stack"] == board.region("RAM").origin
    expected = oracle.invoke(tmp_path / "model.tflite", rows)
    assert np.array_equal(np.load(tmp_path / "answers.npy").reshape(expected.shape), expected)
    assert said["run"]["instructions_per_inference"] > 10_000
    assert said["validate"]["passed"] and said["validate"]["equal"] == 8
    profile = said["profile"]
    assert (
        profile["board"] == "my_board" and profile["unit"] == "instructions" and profile["stack_reserved_bytes"] == 4096
    )
    # of other inputs
    assert (
        profile["layers_agree"] and abs(profile["invoke_units"] / said["run"]["instructions_per_inference"] - 1) < 0.01
    )
    folder = tmp_path / said["build"]["run"] / "profile" / "my_board"
    assert sorted(path.name for path in folder.iterdir()) == ["arena.png", "flash.png", "layers.png", "profile.json"]
