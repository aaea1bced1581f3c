"""The order of the stages and what makes one stale, on stages that only write a file."""

import subprocess
import sys
from dataclasses import replace

import pytest

from tinyflow.artefacts import Manifest
from tinyflow.errors import TinyflowError
from tinyflow.pipeline import Stage, foreign_run, recipe_run, recipe_stages
from tinyflow.recipe import Recipe


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A three-stage pipeline a -> b -> c; what ran is in `ran`."""
    ran = []

    def stage(name, needs, part):
        def make(run, image):
            folder = run.path(name, image)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "out").write_text(f"{name} {part(run, image)}")
            ran.append(name)

        return Stage(name, 1, needs, part, make, sections=("data", "train"))

    stages = (
        stage("a", (), lambda run, image: run.recipe.data.seed),
        stage("b", ("a",), lambda run, image: run.recipe.train.epochs),
        stage("c", ("b",), lambda run, image: 0),
    )
    monkeypatch.setattr(recipe_stages, "STAGES", stages)
    return Recipe("r"), tmp_path, ran


def test_runs_what_is_missing_then_skips_all(small):
    recipe, runs, ran = small
    recipe_run(recipe, runs).make("c")
    assert ran == ["a", "b", "c"]
    steps = recipe_run(recipe, runs).make("c")
    assert ran == ["a", "b", "c"] and not any(step.runs for step in steps)


def test_a_changed_recipe_reruns_its_stage_and_those_after_it(small):
    recipe, runs, ran = small
    recipe_run(recipe, runs).make("c")
    del ran[:]
    changed = replace(recipe, train=replace(recipe.train, epochs=3))
    plan = recipe_run(changed, runs).plan("c")
    assert [(step.runs, step.reason) for step in plan] == [
        (False, "up to date"),
        (True, "changed: train.epochs"),
        (True, "b runs"),
    ]
    assert ran == []  # a plan runs nothing
    steps = recipe_run(changed, runs).make("c")
    # c reads b's output, which is another text now
    assert ran == ["b", "c"] and [step.runs for step in steps] == [False, True, True]


def test_a_lost_output_and_a_killed_stage_are_made_again(small):
    recipe, runs, ran = small
    recipe_run(recipe, runs).make("c")
    (runs / "r" / "b" / "out").unlink()
    assert "out is gone" in recipe_run(recipe, runs).plan("c")[1].reason
    (runs / "r" / "a" / "manifest.json").unlink()  # as a kill between work and seal leaves it
    del ran[:]
    recipe_run(recipe, runs).make("c")
    assert ran == ["a", "b"]  # b's output came out the same: c keeps


def test_a_raised_format_version_makes_stale(small, monkeypatch):
    recipe, runs, ran = small
    recipe_run(recipe, runs).make("c")
    monkeypatch.setattr(
        recipe_stages,
        "STAGES",
        tuple(replace(stage, version=2) if stage.name == "c" else stage for stage in recipe_stages.STAGES),
    )
    del ran[:]
    recipe_run(recipe, runs).make("c")
    assert ran == ["c"]


def test_a_failing_stage_leaves_no_manifest(small, monkeypatch):
    recipe, runs, ran = small
    recipe_run(recipe, runs).make("c")

    def fail(run, image):
        raise TinyflowError("broken")

    monkeypatch.setattr(
        recipe_stages,
        "STAGES",
        tuple(replace(stage, make=fail, version=2) if stage.name == "b" else stage for stage in recipe_stages.STAGES),
    )
    with pytest.raises(TinyflowError):
        recipe_run(recipe, runs).make("c")
    assert Manifest.read(runs / "r" / "b") is None


def test_unknown_stage(small):
    recipe, runs, _ = small
    with pytest.raises(TinyflowError, match="no stage 'd'"):
        recipe_run(recipe, runs).plan("d")


def test_a_stage_that_fails_before_it_writes_leaves_no_folders(tmp_path):
    (tmp_path / "model.tflite").write_bytes(b"not a model")
    run = foreign_run(tmp_path / "model.tflite", tmp_path / "runs")
    with pytest.raises(TinyflowError, match="model.tflite is not a TFLite flatbuffer"):
        run.make("compile")
    assert [path.name for path in tmp_path.iterdir()] == ["model.tflite"]


def test_a_mistake_of_a_late_stage_shows_before_an_early_one_runs(small):
    recipe, runs, ran = small

    def refuse(run, image):
        raise TinyflowError("no such genotype")

    # `small` restores it
    recipe_stages.STAGES = tuple(
        replace(stage, part=refuse) if stage.name == "c" else stage for stage in recipe_stages.STAGES
    )
    with pytest.raises(TinyflowError, match="no such genotype"):
        recipe_run(recipe, runs).make("c")
    assert ran == []


def test_one_process_at_a_time_makes_stages_in_a_run_folder(small):
    recipe, runs, ran = small
    recipe_run(recipe, runs).make("a")
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX);"
            " print('held', flush=True); sys.stdin.read()",
            str(runs / "r"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TinyflowError, match="another tinyflow is at work in .*r"):
            recipe_run(recipe, runs).make("c")
        assert ran == ["a"]
        recipe_run(recipe, runs).make("a")  # up to date: reads only
    finally:
        holder.kill()  # as kill -9 does: the lock goes with the process
        holder.communicate()
    recipe_run(recipe, runs).make("c")
    assert ran == ["a", "b", "c"]


def test_what_a_killed_stage_was_writing_is_swept_away(small):
    recipe, runs, _ = small
    temporary = runs / "r" / ".a.k3_9zzab"  # the names of atomic_folder and atomic_path
    temporary.mkdir(parents=True)
    (runs / "r" / "a").mkdir()
    (runs / "r" / "a" / ".weights.abcd_012.safetensors").write_text("half")
    (runs / "r" / "a" / ".ninja_log").write_text("not ours")
    recipe_run(recipe, runs).make("a")
    assert sorted(path.name for path in (runs / "r").rglob("*")) == [".ninja_log", "a", "manifest.json", "out"]


def test_a_foreign_models_run_folder_has_a_plain_name(tmp_path):
    model = tmp_path / 'my "best" model; v2.tflite'
    model.write_bytes(b"x")
    assert foreign_run(model, tmp_path / "runs").folder.root.name == "my_best_model_v2-2d711642"
