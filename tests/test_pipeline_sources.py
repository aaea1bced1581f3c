"""What a stage's fingerprint covers of tinyflow's own sources; and that an update discards no hours of training."""

import ast
import json
from pathlib import Path

import pytest

from tinyflow.artefacts import CONFIGS, fingerprint
from tinyflow.board import load_board
from tinyflow.pipeline import recipe_run, recipe_stages, sources
from tinyflow.recipe import load_recipe

ROOT = Path(__file__).resolve().parent.parent
# Imported by compile and build, but what they make does not depend on them: they read what other stages made, ask a
# running firmware, or say something to people.
NEUTRAL = (
    "artefacts.py",
    "data",
    "deploy/console.py",
    "deploy/device.py",
    "deploy/flash",
    "deploy/places",
    "errors.py",
    "extras.py",  # what is installed, in words: an oracle proves what was made, and pictures are looked at
    "progress.py",
    "recipe",
    "results.py",
    "train/artefact.py",
    "train/pictures.py",
    "train/resume.py",
    "train/training.py",
    "version.py",
)
FORMER = json.loads((Path(__file__).with_name("former_fingerprints.json")).read_text())


def closure(module: str) -> set[str]:
    """The modules of tinyflow that ``module`` imports, at its top or in its functions, and those that they import."""

    def path(name: str) -> Path:
        found = ROOT / Path(*name.split("."))
        return found / "__init__.py" if found.is_dir() else found.with_suffix(".py")

    def imported(source: Path) -> set[Path]:
        found = set()
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tinyflow"):
                for alias in node.names:
                    own = path(f"{node.module}.{alias.name}")
                    found.add(own if own.is_file() else path(node.module))
            elif isinstance(node, ast.Import):
                found |= {path(alias.name) for alias in node.names if alias.name.startswith("tinyflow")}
        return found

    seen, waiting = set(), {path(module)}
    while waiting:
        source = waiting.pop()
        seen.add(source)
        waiting |= imported(source) - seen
    return {source.relative_to(ROOT).as_posix() for source in seen}


@pytest.mark.parametrize(
    "module, hashed",
    [
        ("tinyflow.compile.foreign", sources.of_foreign_compile()),
        ("tinyflow.convert.trained", sources.of_trained_compile()),
        ("tinyflow.deploy.build", sources._python(sources.GENERATES_C + sources.BUILDS + sources.AROUND_TFLM)),
    ],
)
def test_every_module_that_a_stage_imports_is_covered_or_known_to_be_neutral(module, hashed):
    uncovered = {name for name in closure(module) if name not in hashed}
    neutral = tuple(f"tinyflow/{name}" for name in NEUTRAL)
    reaching = {name for name in uncovered if not name.startswith(neutral)}
    if module == "tinyflow.deploy.build":  # its model and its front end come from compile's fingerprint
        reaching = {name for name in reaching if not name.startswith(("tinyflow/frontend/", "tinyflow/reference/"))}
    assert not reaching


@pytest.mark.parametrize("name", FORMER["recipes"])
def test_what_was_searched_and_trained_before_an_update_stays_up_to_date(name, tmp_path):
    """The fingerprints' parts of the recipes, as the version before sources were noted (0.1.0) computed them."""
    recipe = load_recipe(CONFIGS / f"{name}.yaml")
    run = recipe_run(recipe, tmp_path)
    now = {"train": fingerprint(recipe_stages._train_part(run, None))}
    if recipe.data.source == "synthetic":
        now["data"] = fingerprint(recipe_stages._data_part(run, None)["data"])
    if recipe.search:
        now["search"] = fingerprint(recipe_stages._what(recipe.search))
    assert now == FORMER["recipes"][name]


@pytest.mark.parametrize("name", FORMER["boards"])
def test_a_board_is_to_a_search_what_it_was_before_cores_stood_apart(name):
    assert fingerprint(load_board(name).facts()) == FORMER["boards"][name]
