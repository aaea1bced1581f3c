"""The repository's workflows and forms: what runners run is what `.ci/run` runs, by targets that the Makefile has."""

import json
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tinyflow.cli import commands

ROOT = Path(__file__).resolve().parent.parent
GITHUB = ROOT / ".github"
WORKFLOW = yaml.safe_load((GITHUB / "workflows" / "ci.yml").read_text())
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
MADE = re.compile(r"^\s*make (.+)$", re.MULTILINE)
INPUTS = {"input", "textarea", "dropdown", "checkboxes"}


def steps(job: dict) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


def targets(text: str) -> set[str]:
    return {target for found in MADE.findall(text) for target in shlex.split(found) if "=" not in target}


def everything() -> str:
    return re.sub(r"\$\{\{.*?\}\}", "", "\n".join(step for job in WORKFLOW["jobs"].values() for step in steps(job)))


def test_runners_run_what_ci_runs():
    assert targets(everything()) == targets((ROOT / ".ci" / "run").read_text())


def test_ci_leaves_no_test_out():
    """`make test` chooses none; `make test-fast` and `make coverage` the same ones."""
    makefile = (ROOT / "Makefile").read_text()
    chosen = {
        target: re.search(rf"^{target}: setup\n(?:\t.*\n)*?\t.*pytest(.*)$", makefile, re.MULTILINE)[1]
        for target in ("test", "test-fast", "coverage")
    }
    assert "-m" not in chosen["test"].split()
    assert '-m "not slow and not qemu"' in chosen["coverage"] and '-m "not slow and not qemu"' in chosen["test-fast"]
    assert "test" in targets((ROOT / ".ci" / "run").read_text())


@pytest.mark.parametrize("job", WORKFLOW["jobs"])
def test_every_step_is_a_target_of_the_makefile(job):
    """`make -n` says what it would do; a target that is not there is an error."""
    for step in steps(WORKFLOW["jobs"][job]):
        for version in re.findall(r"\$\{\{ matrix\.python \}\}", step) and ["3.11", "3.12"] or [""]:
            command = step.replace("${{ matrix.python }}", version)
            assert "${{" not in command
            assert command.startswith("make "), "what CI runs stands in the Makefile, where everybody can run it"
            done = subprocess.run(["make", "-n", *command.split()[1:]], cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, f"{command}: {done.stderr}"


def test_the_tests_run_on_every_python_that_is_promised():
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(classifiers))
    tests = WORKFLOW["jobs"]["tests"]
    assert tests["strategy"]["matrix"]["python"] == promised == ["3.11", "3.12"]
    assert "${{ matrix.python }}" in tests["container"] and "PYTHON=python${{ matrix.python }}" in steps(tests)[0]


def test_every_job_ends_by_itself_and_may_only_read():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    for job in WORKFLOW["jobs"].values():
        assert job["timeout-minutes"] <= 120 and job["container"].startswith("python:")
        assert steps(job)[0].startswith("make setup")
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/x@v1")), "an action of others"


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_forms_are_what_github_takes(form):
    """https://docs.github.com, "Syntax for GitHub's form schema": names, types, unique ids and labels."""
    value = yaml.safe_load(form.read_text())
    assert {"name", "description", "body"} <= set(value) <= {"name", "description", "body", "labels", "title"}
    asked = [item for item in value["body"] if item["type"] in INPUTS]
    assert {item["type"] for item in value["body"]} <= INPUTS | {"markdown"} and asked
    ids, labels = [item["id"] for item in asked], [item["attributes"]["label"] for item in asked]
    assert len(set(ids)) == len(ids) and len(set(labels)) == len(labels)
    for item in asked:
        options = item["attributes"].get("options", [])
        assert bool(options) == (item["type"] in ("dropdown", "checkboxes"))
        assert all(isinstance(option, dict if item["type"] == "checkboxes" else str) for option in options)


def test_a_bug_brings_what_doctor_says_and_the_commands_are_there():
    assert {path.stem for path in FORMS} == {"bug", "board", "operator"}
    bug = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / "bug.yml").read_text())["body"]
    assert any("tinyflow doctor" in item["attributes"]["label"] for item in bug)
    said = "\n".join(path.read_text() for path in FORMS)
    assert set(re.findall(r"`tinyflow ([a-z]+)", said)) <= set(commands.commands)
    assert "`make lint docs test`" in (GITHUB / "PULL_REQUEST_TEMPLATE.md").read_text()


def test_the_container_is_debian_with_what_setup_needs_to_begin():
    """No Docker here: its steps are parsed, and CONTRIBUTING.md says where they were run."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    assert {word for word, _ in lines} <= {"FROM", "RUN", "WORKDIR", "COPY", "ENV", "CMD"}
    stages = [rest.split() for word, rest in lines if word == "FROM"]
    assert stages == [["debian:12", "AS", "machine"], ["machine", "AS", "all"]]
    for word, rest in lines:
        if word == "RUN":
            assert subprocess.run(["bash", "-n", "-c", rest]).returncode == 0
    assert any(word == "RUN" and "make setup" in rest for word, rest in lines)
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert container["build"]["target"] in [name for _, _, name in stages]
    assert (ROOT / ".devcontainer" / container["build"]["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert container["postCreateCommand"] == "make setup"


def test_contributings_five_commands(tmp_path):
    """Those of git as they are, on a clone of this repository; what the others make is in the Makefile."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    commands = re.search(r"```sh\n(.*?)```", text, re.DOTALL)[1].splitlines()
    assert len(commands) == 5 and {"setup", "lint", "docs", "test"} == targets("\n".join(commands).replace("#", "\n"))
    script = "\n".join(re.sub(r"^make", "make -n", command) for command in commands).replace(
        "ADDRESS", f"file://{ROOT}"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    done = subprocess.run(["bash", "-euc", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "./setup.sh" in done.stdout and "-m pytest" in done.stdout
    named = set(re.findall(r"`make ([\w-]+)`", text))
    makefile = (ROOT / "Makefile").read_text()
    assert named and all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in named)
