"""A recipe from Python: what it made is the command line's too, and the other way round."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinyflow
from tinyflow import extras
from tinyflow.recipe import Recipe

VALUES = {
    "name": "found",
    "search.frontends": ["640/160/40", "640/320/80"],
    "search.channels": 8,
    "search.cells": 2,
    "search.stem_stride": 2,
    "search.epochs": 1,
    "search.warmup_epochs": 0,
    "search.batch_size": 8,
    "network.channels": None,
    "network.cells": None,
}


def test_a_recipe_by_name_by_file_and_with_other_values(tmp_path):
    demo = tinyflow.load_recipe("demo")
    assert isinstance(demo, tinyflow.Recipe) and demo.name == "demo"
    (tmp_path / "mine.yaml").write_text("data: {source: synthetic}\n")
    values = {"train.epochs": np.int64(3), "train.learning_rate": 1e-5, "data.keywords": ("ja", "nein ü"),
              "data.task": "keywords", "data.path": tmp_path / "a b"}  # fmt: skip
    mine = tinyflow.load_recipe(tmp_path / "mine.yaml", values)
    assert (mine.name, mine.train.epochs, mine.train.learning_rate) == ("mine", 3, 1e-5)
    assert mine.data.keywords == ("ja", "nein ü") and mine.data.path == str(tmp_path / "a b")


@pytest.mark.parametrize(
    "recipe, values, message, hint",
    [
        ("dmeo", {}, "no recipe 'dmeo'", "'demo'"),
        ("absent.yaml", {}, "no recipe at absent.yaml", "tinyflow init"),
        ("demo", {"train.epoch": 3}, "unknown key 'train.epoch'", "'epochs'"),
        ("demo", {"train.epochs": "many"}, "train.epochs is 'many'", "tinyflow init"),
        ("demo", {"train.epochs": 0}, "train.epochs", ""),
    ],
)
def test_a_recipes_mistakes_are_named(recipe, values, message, hint):
    with pytest.raises(tinyflow.TinyflowError) as error:
        tinyflow.load_recipe(recipe, values)
    assert message in error.value.message and hint in error.value.hint


@pytest.mark.parametrize("call", [tinyflow.train_model, tinyflow.search_network])
def test_without_the_extra_it_says_which(call, monkeypatch, tmp_path):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(tinyflow.TinyflowError, match=rf"without \[train\]: {call.__name__} needs it") as error:
        call("demo-search", runs=tmp_path)
    assert error.value.hint == extras.install_command("train") and not list(tmp_path.iterdir())


def test_what_compiling_wants_is_told_before_hours_of_training(monkeypatch, tmp_path):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(tinyflow.TinyflowError, match=r"without \[train,convert\]: train and compile cannot be made"):
        tinyflow.compile_recipe("demo", runs=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_recipe_without_a_search_is_refused(tmp_path):
    with pytest.raises(tinyflow.TinyflowError, match="'demo' has no search section"):
        tinyflow.search_network("demo", runs=tmp_path)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    if not shutil.which("espeak-ng"):
        pytest.skip("needs espeak-ng: make setup")
    pytest.importorskip("torch")
    return tinyflow.load_recipe("smoke", VALUES)


@pytest.fixture(scope="module")
def runs(recipe, tmp_path_factory) -> Path:
    """Where the recipe's search was made and its network trained, each with what was told meanwhile."""
    folder = tmp_path_factory.mktemp("runs")
    found = tinyflow.search_network(recipe, runs=folder)
    assert found.folder == folder / "found" / "search" and not (folder / "found" / "train").exists()
    trained = tinyflow.train_model(recipe, runs=folder)
    assert trained.genotype.normal == found.genotype.normal and trained.folder == folder / "found" / "train"
    assert len(trained.history["epochs"]) == recipe.train.epochs
    return folder


@pytest.mark.slow
def test_what_is_there_is_not_made_again(recipe, runs):
    said = []

    def progress(task: str, done: int, total: int, note: str = "") -> None:
        said.append((task, note))

    tinyflow.train_model(recipe, runs=runs, progress=progress)
    assert said == [(stage, "up to date") for stage in ("data", "search", "train")]


@pytest.mark.slow
def test_the_command_line_finds_it(runs, tmp_path):
    sets = [part for key, value in VALUES.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    command = [sys.executable, "-m", "tinyflow.cli", "train", "--recipe", "smoke", *sets, "--runs", str(runs), "--json"]
    said = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, check=True, cwd=tmp_path)
    steps = json.loads(said.stdout)["steps"]
    assert [(step["stage"], step["runs"]) for step in steps] == [(n, False) for n in ("data", "search", "train")]
