"""The extras: what is absent is named by its extra, with the one command that adds it, and before work is lost."""

import sys
from dataclasses import replace

import pytest

from tinyflow import extras
from tinyflow.errors import TinyflowError
from tinyflow.pipeline import recipe_run, recipe_stages
from tinyflow.recipe import Recipe


def only(monkeypatch, *there: str) -> None:
    """As if of all extras only these packages were installed."""
    monkeypatch.setattr(extras, "find_spec", lambda name: name if name in there else None)


@pytest.mark.parametrize(
    "package, extra",
    [
        ("torch", "train"),
        ("ray", "train"),
        ("tensorflow.lite", "convert"),
        ("tflite_micro", "oracle"),
        ("other", "all"),
    ],
)
def test_a_missing_package_is_named_by_its_extra(package, extra):
    error = extras.missing(package, "training needs it")
    assert package in error.message and "training needs it" in error.message
    assert error.hint == f"{sys.executable} -m pip install 'tinyflow-mcu[{extra}]'"


def test_each_extra_is_told_by_a_package_that_no_other_has():
    for name, extra in extras.EXTRAS.items():
        others = {package for other in extras.EXTRAS if other != name for package in extras.EXTRAS[other].packages}
        assert extra.packages[0] not in others


def test_what_is_left_out_is_one_line_with_the_way_to_it(monkeypatch):
    only(monkeypatch, "matplotlib")
    assert extras.without("matplotlib", "pictures") == ""
    line = extras.without("soundfile", "recordings")
    assert "\n" not in line and line.startswith("no recordings: ") and "'tinyflow-mcu[train]'" in line


def test_all_that_is_absent_is_asked_for_at_once(monkeypatch):
    only(monkeypatch, "tflite_micro", "torch")
    extras.require(["oracle", "oracle"], "")
    with pytest.raises(TinyflowError, match=r"without \[train,convert\]: it is so") as error:
        extras.require(["oracle", "train", "convert", "train"], "it is so")
    assert error.value.hint == f"{sys.executable} -m pip install 'tinyflow-mcu[train,convert]'"


def test_a_stage_that_cannot_be_made_stops_those_before_it(monkeypatch, tmp_path):
    made = []
    stages = tuple(
        replace(stage, part=lambda run, image: 0, make=lambda run, image, name=stage.name: made.append(name))
        for stage in recipe_stages.STAGES
    )
    monkeypatch.setattr(recipe_stages, "STAGES", stages)
    run = recipe_run(Recipe("r"), tmp_path)
    only(monkeypatch, "torchaudio")
    with pytest.raises(TinyflowError, match=r"without \[convert\]: train and compile cannot be made"):
        run.make("compile")
    assert made == [] and not list(tmp_path.iterdir())
    run.make("data")  # the base's own
    assert made == ["data"]
    assert [step.runs for step in run.plan("compile")] == [
        False,
        True,
        True,
    ]  # what would run may be asked all the same
