"""From nothing to a word heard on an emulated board, through the command line as a script would use it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinyflow.reference import oracle

pytestmark = [
    pytest.mark.slow,
    pytest.mark.qemu,
    pytest.mark.skipif(not shutil.which("espeak-ng"), reason="needs espeak-ng: make setup"),
]


def tinyflow(folder: Path, *arguments: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "tinyflow.cli", *arguments, "--json"], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder where the smoke recipe was built for both boards, from nothing, by one command each."""
    folder = tmp_path_factory.mktemp("user")
    first = tinyflow(folder, "build", "--recipe", "smoke", "--board", "mps2-an386")
    assert [step["stage"] for step in first["steps"] if step["runs"]] == ["data", "train", "compile", "build"]
    second = tinyflow(folder, "build", "--recipe", "smoke", "--board", "nucleo-l4r5zi")
    assert [step["stage"] for step in second["steps"] if step["runs"]] == ["build"]
    return folder


def test_a_second_build_skips_everything(place):
    again = tinyflow(place, "build", "--recipe", "smoke", "--board", "nucleo-l4r5zi")
    assert [step["reason"] for step in again["steps"]] == ["up to date"] * 4


def test_a_changed_key_reruns_what_depends_on_it_and_no_more(place):
    plan = tinyflow(
        place, "build", "--recipe", "smoke", "--board", "mps2-an386", "--dry-run", "--set", "compile.selftest_clips=1"
    )
    assert [step["runs"] for step in plan["steps"]] == [False, False, True, True]


def test_selftest_validate_and_profile_on_the_emulated_board(place):
    said = tinyflow(place, "run", "--recipe", "smoke", "--board", "mps2-an386")
    assert said["passed"] and said["clips"] == 2
    proof = tinyflow(place, "validate", "--recipe", "smoke", "--board", "mps2-an386")
    assert proof["passed"] and all(proof["parity"][key]["passed"] for key in ("features", "network", "end_to_end"))
    counts = tinyflow(place, "profile", "--recipe", "smoke", "--board", "mps2-an386")
    assert counts["unit"] == "instructions" and counts["layers_agree"]
    for picture in ("layers.png", "flash.png", "arena.png"):
        assert (place / "runs" / "smoke" / "profile" / "mps2-an386" / picture).read_bytes().startswith(b"\x89PNG")


def test_the_host_board_runs_the_same_firmware(place):
    assert tinyflow(place, "validate", "--recipe", "smoke", "--board", "host")["passed"]


def test_a_recording_is_heard_wholly_on_the_board(place, tmp_path):
    subprocess.run(["espeak-ng", "-v", "en-us", "-w", str(tmp_path / "yes.wav"), "yes"], check=True)
    heard = tinyflow(place, "run", "--recipe", "smoke", "--board", "mps2-an386", "--wav", str(tmp_path / "yes.wav"))
    assert (
        heard["word"] in ("yes", "no")
        and heard["instructions_per_inference"] > 0
        and heard["instructions_of_frontend"] > 0
    )


def test_evaluation_is_labelled_with_its_recordings(place):
    result = tinyflow(place, "evaluate", "--recipe", "smoke")
    assert result["description"] == "synthetic" and sum(map(sum, result["confusion"])) == result["clips"]


def test_a_foreign_model_answers_like_the_interpreter(place, tmp_path):
    model = place / "runs" / "smoke" / "compile" / "model_int8.tflite"
    rows = np.random.default_rng(1).integers(-128, 128, (3, 49, 40, 1), dtype=np.int8)
    np.save(tmp_path / "X.npy", rows)
    arguments = (
        "run",
        "--tflite",
        str(model),
        "--board",
        "mps2-an386",
        "--input",
        str(tmp_path / "X.npy"),
        "--output",
        str(tmp_path / "Y.npy"),
    )
    facts = tinyflow(place, *arguments)
    assert np.array_equal(np.load(tmp_path / "Y.npy"), oracle.invoke(model, rows).reshape(3, -1))
    assert all(
        facts[key] > 0
        for key in (
            "instructions_per_inference",
            "arena_bytes",
            "flash_bytes",
            "model_bytes",
            "ram_bytes",
            "stack_bytes",
        )
    )


def test_runs_lists_and_clean_deletes(place):
    assert "smoke" in [run["name"] for run in tinyflow(place, "runs")["runs"]]
    tinyflow(place, "clean", "smoke", "--stage", "profile", "--yes")
    assert not (place / "runs" / "smoke" / "profile").exists()
