"""A search through the command line, and what it found on an emulated board, alignment layer and all."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from json_documents import as_written

pytestmark = [
    pytest.mark.slow,
    pytest.mark.qemu,
    pytest.mark.skipif(not shutil.which("espeak-ng"), reason="needs espeak-ng: make setup"),
]
KEYS = {
    "name": "found",
    "search.frontends": "[640/160/40, 400/200/40, 640/320/80]",
    "search.channels": "8",
    "search.cells": "2",
    "search.stem_stride": "2",
    "search.epochs": "3",
    "search.warmup_epochs": "1",
    "search.batch_size": "8",
    "search.gamma_learning_rate": "1.0",
    "search.board": "mps2-an386",
    "network.channels": "null",
    "network.cells": "null",
}
RECIPE = ("--recipe", "smoke", *(part for key, value in KEYS.items() for part in ("--set", f"{key}={value}")))


def tinyflow(folder: Path, *arguments: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "tinyflow.cli", *arguments, *RECIPE, "--json"],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return as_written(arguments[0], json.loads(done.stdout))


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    found = tinyflow(folder, "search")
    assert [step["stage"] for step in found["steps"] if step["runs"]] == ["data", "search"]
    return folder


def test_the_search_is_not_run_again_and_says_what_it_found(place):
    again = tinyflow(place, "search")
    assert not any(step["runs"] for step in again["steps"])
    found = again["search"]
    assert found["data_choice"] == "chosen" and found["genotype"]["alignment"] == "preprocess"
    assert found["fit"]["board"] == "mps2-an386" and found["fit"]["fits"]
    names = {path.name for path in (place / "runs" / "found" / "search").iterdir()}
    assert {
        "genotype.json",
        "history.json",
        "normal.png",
        "reduction.png",
        "gamma.png",
        "alpha.png",
        "checkpoint.pt",
    } <= names


def test_what_was_found_is_trained_built_and_bit_exact_on_the_board(place):
    built = tinyflow(place, "build", "--board", "mps2-an386")
    assert [step["stage"] for step in built["steps"] if step["runs"]] == ["train", "compile", "build"]
    trained = json.loads((place / "runs" / "found" / "train" / "genotype.json").read_text())
    found = json.loads((place / "runs" / "found" / "search" / "genotype.json").read_text())
    assert (
        trained["alignment_layer"] == found["alignment_layer"] is not None and trained["frontend"] == found["frontend"]
    )
    proof = tinyflow(place, "validate", "--board", "mps2-an386")
    assert proof["passed"] and all(proof["parity"][key]["passed"] for key in ("features", "network", "end_to_end"))


def test_the_exact_check_knew_the_arena(place):
    planned = json.loads((place / "runs" / "found" / "search" / "history.json").read_text())["fit"]["arena_bytes"]
    built = tinyflow(place, "build", "--board", "mps2-an386")["firmware"]["arena_bytes"]
    assert planned == built
