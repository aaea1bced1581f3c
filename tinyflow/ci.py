"""The CI of a user's project: a workflow that runs `tinyflow check` on a matrix of emulated boards (docs/ci.md)."""

import os
import shlex
from pathlib import Path

from tinyflow.artefacts import CONFIGS, write_text
from tinyflow.errors import TinyflowError

TEMPLATES = CONFIGS / "ci"
PLACES = {"github": Path(".github/workflows/tinyflow.yml"), "gitlab": Path(".gitlab-ci.yml")}  # in the project
MODEL = "MODEL: --recipe recipe.yaml"


def write_ci(service: str, model: Path, force: bool = False, project: Path = Path(".")) -> Path:
    """Writes the workflow of ``service`` (a key of PLACES) into ``project``; returns its path.

    model: the recipe or the .tflite file that CI is to build, inside the project.
    Errors: a workflow that is there already (unless ``force``); a model outside the project.
    """
    inside = os.path.relpath(model, project)
    if inside.startswith(".."):
        raise TinyflowError(
            f"{model} is not in the project {project.resolve()}",
            "CI sees the committed project alone: keep the recipe or the model in it",
        )
    if shlex.quote(inside) != inside:
        raise TinyflowError(
            f"{inside!r} needs quoting, which a workflow's variable cannot carry",
            "give it a name of letters, digits, dots, dashes and underscores",
        )
    target = project / PLACES[service]
    if target.exists() and not force:
        raise TinyflowError(f"{target} exists", "--force overwrites it")
    option = "--tflite" if model.suffix == ".tflite" else "--recipe"
    text = (TEMPLATES / f"{service}.yml").read_text()
    assert MODEL in text
    write_text(target, text.replace(MODEL, f"MODEL: {option} {inside}"))
    return target
