"""`pip install tinyflow-mcu` of the wheel, in a fresh environment and an empty folder, far from the repository."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from base_walk import BOARD, HEAVY, TFLITE, walk
from ci_workflow import Workflow
from fresh import Fresh, outside, pythons

from tinyflow.ci import write_ci

pytestmark = [pytest.mark.wheel, pytest.mark.qemu]
MOST_BYTES = 150_000_000


@pytest.fixture(scope="module", params=pythons(), ids=lambda path: Path(path).name)
def base(request, built, tmp_path_factory) -> Fresh:
    return Fresh.made(request.param, tmp_path_factory.mktemp("base") / "venv", str(built.wheel))


def test_every_command_for_a_foreign_model_works(base, project):
    walk(base, project)


def test_it_is_small_and_nothing_heavy_came_with_it(base):
    print(base.told("base"))
    assert not HEAVY & set(base.packages())
    assert base.bytes() <= MOST_BYTES, f"{base.bytes():,} bytes"
    subprocess.run([base.python, "-m", "pip", "check"], env=outside(), check=True)


@pytest.mark.parametrize(
    "command, extras",
    [
        ("train --recipe demo", "train"),
        ("search --recipe demo-search", "train"),
        ("build --recipe demo --board mps2-an386", "train,convert"),
    ],
)
def test_what_needs_more_says_which_extra_before_anything_is_made(base, project, command, extras):
    done = base.run(*command.split(), cwd=project, check=False)
    assert done.returncode == 1 and f"without [{extras}]" in done.stderr, done.stderr
    assert f"{base.python} -m pip install 'tinyflow-mcu[{extras}]'" in done.stderr
    assert not (project / "runs").exists()


def test_a_plug_in_brings_its_boards(base, project, tmp_path):
    plug_in = tmp_path / "acme"
    (plug_in / "acme_boards").mkdir(parents=True)
    (plug_in / "acme_boards" / "__init__.py").touch()
    (folder,) = [
        Path(board["folder"]) for board in base.says("boards", cwd=project)["boards"] if board["name"] == BOARD[1]
    ]
    shutil.copytree(folder, plug_in / "acme_boards" / "acme-one")
    (plug_in / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "acme-boards"\nversion = "1.2"\n'
        '[project.entry-points."tinyflow.boards"]\nacme = "acme_boards"\n'
    )
    base.install(str(plug_in))
    try:
        (board,) = [board for board in base.says("boards", cwd=project)["boards"] if board["name"] == "acme-one"]
        assert board["origin"] == "acme-boards 1.2" and Path(board["folder"]).is_relative_to(base.folder)
        assert base.says("build", *TFLITE, "--board", "acme-one", cwd=project)["firmware"]["board"] == "acme-one"
    finally:
        subprocess.run([base.python, "-m", "pip", "uninstall", "-qy", "acme-boards"], env=outside(), check=True)


def test_doctors_one_command_adds_the_oracle(base, project):
    """Last of this environment: it is no base any more."""
    diagnosis = base.says("doctor", cwd=project)
    assert diagnosis["size"] == "base" and not [extra for extra in diagnosis["extras"] if extra["installed"]]
    (oracle,) = [extra for extra in diagnosis["extras"] if extra["name"] == "oracle"]
    subprocess.run(shlex.split(oracle["command"]), env=outside(), check=True, capture_output=True)
    assert base.says("doctor", cwd=project)["size"] == "base and oracle"
    assert base.says("validate", *TFLITE, *BOARD, cwd=project)["passed"]
    print(base.told("base and oracle"))


@pytest.mark.parametrize("service", ["github", "gitlab"])
def test_a_workflow_installs_the_wheel_and_checks(built, project, service):
    """The template's own steps: the environment of pip's is theirs, and so is the tinyflow that checks."""
    (project / "ci").mkdir()
    wheel = shutil.copy(built.wheel, project / "ci")
    workflow = Workflow(write_ci(service, project / "model.tflite", project=project, wheel=wheel))
    (row,) = [row for row in workflow.matrix if row["board"] == "mps2-an386"]
    path = 'export PATH="$PWD/.tinyflow/bin:$PATH"\ntype -P tinyflow'  # as a runner reads GITHUB_PATH
    steps = "\n".join((workflow.step("pip install"), path, workflow.step("tinyflow check")))
    done = workflow.run(steps, project, row, outside())
    # the first run has no baseline to compare with, and writes one only of a firmware that passed
    assert done.returncode == 1 and "there is no baseline ci/mps2-an386.json" in done.stderr, done.stdout + done.stderr
    assert str(project / ".tinyflow" / "bin" / "tinyflow") in done.stdout.splitlines()
    assert json.loads((project / "baselines" / "mps2-an386.json").read_text())["figures"]
