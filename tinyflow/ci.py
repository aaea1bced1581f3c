"""The CI of a user's project: a workflow that runs `tinyflow check` on a matrix of emulated boards (docs/ci.md)."""

import json
import os
import shlex
from pathlib import Path

from tinyflow.artefacts import CONFIGS, write_text
from tinyflow.errors import TinyflowError

TEMPLATES = CONFIGS / "ci"
PLACES = {"github": Path(".github/workflows/tinyflow.yml"), "gitlab": Path(".gitlab-ci.yml")}  # in the project
MODEL = "MODEL: --recipe recipe.yaml"  # what the templates have, and is replaced
WHEEL = 'TINYFLOW_WHEEL: ""'
EXTRAS = "TINYFLOW_EXTRAS: all"


def write_ci(service: str, model: Path, force: bool = False, project: Path = Path("."), wheel: str = "") -> Path:
    """Writes the workflow of ``service`` (a key of PLACES) into ``project``; returns its path.

    model: the recipe or the .tflite file that CI is to build, inside the project.
    wheel: tinyflow's, a file inside the project or a URL; "": the workflow says that it is to be set.
    Errors: a workflow that is there already (unless ``force``); a model or a wheel that CI does not see.
    """
    inside = _inside(model, project, "keep the recipe or the model in it")
    if shlex.quote(inside) != inside:
        raise TinyflowError(
            f"{inside!r} needs quoting, which a workflow's variable cannot carry",
            "give it a name of letters, digits, dots, dashes and underscores",
        )
    if wheel and "://" not in wheel:
        wheel = _wheel(Path(wheel), project)
    target = project / PLACES[service]
    if target.exists() and not force:
        raise TinyflowError(f"{target} exists", "--force overwrites it")
    foreign = model.suffix == ".tflite"
    text = (TEMPLATES / f"{service}.yml").read_text()
    for old, new in (
        (MODEL, f"MODEL: {'--tflite' if foreign else '--recipe'} {inside}"),
        (WHEEL, f"TINYFLOW_WHEEL: {json.dumps(wheel)}"),
        (EXTRAS, f"TINYFLOW_EXTRAS: {'oracle' if foreign else 'all'}"),
    ):
        assert old in text
        text = text.replace(old, new)
    write_text(target, text)
    return target


def _wheel(wheel: Path, project: Path) -> str:
    """``wheel`` as the project names it."""
    inside = _inside(wheel, project, "copy the wheel into it and commit it, or name a URL that CI can reach")
    if wheel.suffix != ".whl" or not wheel.is_file():
        raise TinyflowError(
            f"{wheel} is {'not a wheel' if wheel.exists() else 'not there'}",
            "name a .whl file, as `python -m build` in a clone of tinyflow leaves it in dist/, or a URL (https://...)",
        )
    return inside


def _inside(path: Path, project: Path, way_out: str) -> str:
    inside = os.path.relpath(path, project)
    if inside.startswith(".."):
        raise TinyflowError(
            f"{path} is not in the project {project.resolve()}", f"CI sees the committed project alone: {way_out}"
        )
    return inside
