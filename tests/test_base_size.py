"""The base size: what its commands import is in it, and what extras would add is left out in one line."""

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from json_documents import as_written
from keyword_model import keyword_tflite

ROOT = Path(__file__).resolve().parent.parent
BOARD = ["--board", "host"]
TFLITE = ["--tflite", "model.tflite"]
COMMANDS = {
    "boards": [],
    "init": ["mine.yaml"],
    "init ci": ["model.tflite", "--ci", "github"],
    "doctor": [],
    "compile": TFLITE,
    "build": [*TFLITE, *BOARD],
    "run": [*TFLITE, *BOARD, "--input", "rows.npy", "--output", "answers.npy"],
    "validate": [*TFLITE, *BOARD, "--input", "rows.npy"],
    "profile": [*TFLITE, *BOARD],
    "export": [*TFLITE, "--out", "c"],
    "check": [*TFLITE, *BOARD],
    "profile compare": [*TFLITE, *BOARD, "--compare", "aot,tflm"],
}
# What is not of the base, as if it were not installed; then every command of argv[1], and what each said.
SCRIPT = """
import contextlib, io, json, sys
from importlib.machinery import PathFinder

allowed = {*sys.stdlib_module_names, "tinyflow", *json.loads(sys.argv[2])}

class Base(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        ours = name.partition(".")[0] in allowed or name.startswith("_sysconfigdata")
        return PathFinder.find_spec(name, path, target) if ours else None

sys.meta_path[sys.meta_path.index(PathFinder)] = Base
from tinyflow.cli import main
import tinyflow.deploy.flash.flashing

said = {}
for name, arguments in json.loads(sys.argv[1]).items():
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main([name.partition(" ")[0], *arguments, "--json"])
    said[name] = json.loads(out.getvalue())
print(json.dumps(said))
"""


def base_modules() -> list[str]:
    """Names by which the base's packages, and all that they require, are imported."""
    found: set[str] = set()
    waiting = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    while waiting:
        requirement = waiting.pop()
        name = re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")
        if name not in found and "extra ==" not in requirement and "platform_system" not in requirement:
            found.add(name)
            waiting += metadata.requires(name) or []
    of = metadata.packages_distributions()
    return [module for module, names in of.items() if found & {name.lower().replace("_", "-") for name in names}]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "model.tflite").write_bytes(keyword_tflite(24, 10, 8))
    np.save(folder / "rows.npy", np.random.default_rng(1).integers(-128, 128, (3, 24, 10, 1), dtype=np.int8))
    return folder


@pytest.fixture(scope="module")
def said(project) -> dict:
    modules = base_modules()
    assert {"numpy", "pydantic_core", "elftools"} < set(modules) and not {"torch", "matplotlib"} & set(modules)
    command = [sys.executable, "-c", SCRIPT, json.dumps(COMMANDS), json.dumps(modules)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (project / "stderr").write_text(done.stderr)
    return json.loads(done.stdout)


def test_every_command_for_a_foreign_model_works(said, project):
    for name, document in said.items():
        if name != "profile compare":
            assert "error" not in document, (name, document)
            as_written(name.partition(" ")[0], document)
    assert np.load(project / "answers.npy").shape == (3, 4)
    assert said["doctor"]["size"] in ("base", "all", "base and oracle and train and convert")  # by metadata


def test_answers_are_compared_with_our_own_kernels_and_that_is_said(said):
    for proof in (said["validate"], said["check"]["validation"]):
        assert proof["passed"] and proof["equal"] == proof["rows"] > 0
        assert "reference kernels" in proof["oracle"] and "tinyflow-mcu[oracle]" in proof["note"]


def test_pictures_are_left_out_in_one_line(said, project):
    assert not list(project.rglob("*.png"))
    (line,) = [note for note in said["profile"]["notes"] if "pictures" in note]
    assert "matplotlib" in line and "tinyflow-mcu[train]" in line
    assert "no picture of the arena" in (project / "stderr").read_text()


def test_what_only_tflm_knows_names_its_extra(said):
    assert "tflite_micro" in said["profile compare"]["error"]
    assert said["profile compare"]["hint"].endswith("'tinyflow-mcu[oracle]'")
