"""From nothing to a word heard on an emulated board, through the command line as a script would use it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from json_documents import as_written

from tinyflow import compile_recipe
from tinyflow.reference import oracle

ROOT = Path(__file__).resolve().parent.parent

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
    return as_written(arguments[0], json.loads(done.stdout))


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


def test_the_library_takes_what_the_commands_made(place):
    said = []
    model = compile_recipe(
        "smoke",
        "mps2-an386",
        runs=place / "runs",
        progress=lambda task, done, total, note="": said.append((task, note)),
    )
    checked = model.validate(rows=2)
    stages = {(task, note) for task, note in said if task in ("data", "train", "compile", "build")}
    assert stages == {(stage, "up to date") for stage in ("data", "train", "compile", "build")}
    assert checked.passed and checked.rows == 2 and checked.parity.end_to_end.rows == 2
    assert model.on().validate(np.zeros((1, *model.input.shape[1:]), np.int8)).parity is None
    assert model.labels == ("yes", "no") and model.report.accuracy["recordings"] == "synthetic"


def test_a_changed_key_reruns_what_depends_on_it_and_no_more(place):
    plan = tinyflow(
        place, "build", "--recipe", "smoke", "--board", "mps2-an386", "--dry-run", "--set", "compile.selftest_clips=1"
    )
    assert [step["runs"] for step in plan["steps"]] == [False, False, True, True]


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> Path:
    """tinyflow as somebody else's checkout: to be changed."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("tinyflow", "firmware", "boards", "configs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


COMPILE_AND_BUILD, BUILD, NOTHING = ["compile", "build"], ["build"], []
DECIDES = {  # a source of tinyflow -> the stages that run again when it changes
    "tinyflow/convert/quantize.py": COMPILE_AND_BUILD,
    "tinyflow/compile/cgen.py": COMPILE_AND_BUILD,
    "tinyflow/frontend/scaler.py": COMPILE_AND_BUILD,
    "tinyflow/network/module.py": COMPILE_AND_BUILD,
    "firmware/kernels/softmax_s8.c": COMPILE_AND_BUILD,  # its host twin answers the self-test clips
    "firmware/kernels/kernels.h": COMPILE_AND_BUILD,
    "tinyflow/objects.py": COMPILE_AND_BUILD,  # it builds the host twins too
    "firmware/app/commands.c": BUILD,
    "firmware/listen/listen.h": BUILD,
    "firmware/port/mps2/port.c": BUILD,
    "firmware/port/cortexm/startup.c": BUILD,
    "tinyflow/deploy/image/flags.py": BUILD,
    "tinyflow/deploy/image/linker.py": BUILD,
    "tinyflow/deploy/toolchain.py": BUILD,
    "boards/mps2-an386/board.yaml": NOTHING,  # a comment changes no fact
    "boards/host/board.yaml": NOTHING,
    "firmware/port/nrf52/port.c": NOTHING,  # of another board
    "firmware/microphone/dfsdm.c": NOTHING,  # that the board has not
    "firmware/model/tflm/model.cc": NOTHING,  # of another runtime
    "firmware/export/main.c": NOTHING,
    "tinyflow/train/training.py": NOTHING,  # its version is raised by hand
    "tinyflow/search/searching.py": NOTHING,
    "tinyflow/data/audio.py": NOTHING,
    "tinyflow/show/screen.py": NOTHING,
}


def by_the_copy(copied: Path, place: Path, *arguments: str) -> list[dict]:
    done = subprocess.run(
        [sys.executable, "-m", "tinyflow.cli", "build", "--recipe", "smoke", *arguments, "--json"],
        capture_output=True,
        text=True,
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(copied)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["steps"]


def test_an_update_runs_again_what_its_changed_sources_decide_and_no_more(place, copied):
    dry = ("--board", "mps2-an386", "--dry-run")
    unchanged = by_the_copy(copied, place, *dry)  # wherever tinyflow lies
    assert [step["reason"] for step in unchanged] == ["up to date"] * 4
    for name, expected in DECIDES.items():
        path = copied / name
        before = path.read_text()
        remark = "\n# changed\n" if path.suffix in (".py", ".txt", ".yaml") else "\n/* changed */\n"
        path.write_text(before + remark)
        steps = by_the_copy(copied, place, *dry)
        path.write_text(before)
        assert [step["stage"] for step in steps if step["runs"]] == expected, name
        if expected:
            reason = next(step["reason"] for step in steps if step["runs"])
            assert reason == f"changed in tinyflow: {name}"


def test_a_firmware_is_built_anew_with_a_changed_port(place, copied):
    path = copied / "firmware" / "port" / "nrf52" / "port.c"
    steps = by_the_copy(copied, place, "--board", "nrf52840dk")
    assert [step["stage"] for step in steps if step["runs"]] == BUILD
    before = (place / "runs" / "smoke" / "build" / "nrf52840dk" / "firmware.json").read_text()
    path.write_text(path.read_text() + '\nconst char port_changed[] = "changed";\n')
    steps = by_the_copy(copied, place, "--board", "nrf52840dk")
    assert [step["stage"] for step in steps if step["runs"]] == BUILD
    after = (place / "runs" / "smoke" / "build" / "nrf52840dk" / "firmware.json").read_text()
    assert json.loads(before)["build_id"] != json.loads(after)["build_id"]


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
