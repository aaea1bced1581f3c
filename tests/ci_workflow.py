"""A written workflow as a runner has it: its variables, its matrix, and the shell of each step."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import yaml

from tinyflow.ci import TEMPLATES


class Workflow:
    """What a runner makes of a written workflow: variables, a matrix, and the shell of each step."""

    def __init__(self, path: Path):
        value = yaml.safe_load(path.read_text())
        self.github = "jobs" in value
        job = value["jobs"]["check"] if self.github else value["check"]
        self.image = job["container"] if self.github else job["image"]
        self.variables = {key: str(item) for key, item in (value["env"] if self.github else value["variables"]).items()}
        self.matrix = [
            {key.lower(): item for key, item in row.items()}
            for row in (job["strategy"]["matrix"]["include"] if self.github else job["parallel"]["matrix"])
        ]
        self.steps = (
            [step["run"] for step in job["steps"] if "run" in step]
            if self.github
            else [*job["before_script"], *job["script"]]
        )

    def step(self, word: str) -> str:
        (found,) = [step for step in self.steps if word in step]
        return found

    def run(
        self, step: str, project: Path, row: dict[str, str], outside: dict[str, str] | None = None, **variables: str
    ) -> subprocess.CompletedProcess:
        """``step`` in ``project`` for a row of the matrix, with this tinyflow and the project's programs first in PATH;
        or in the environment ``outside``, which has neither.
        """
        if outside is None:
            programs = project / "programs"
            programs.mkdir(exist_ok=True)
            program(programs / "tinyflow", f'exec "{sys.executable}" -m tinyflow.cli "$@"')
            path = f"{programs}:{os.environ['PATH']}"
            outside = {**os.environ, "PATH": path, "PYTHONPATH": str(TEMPLATES.parent.parent)}
        step = re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda found: row[found[1]], step)
        assert "${{" not in step
        environment = {**outside, **self.variables, **{key.upper(): item for key, item in row.items()}, **variables}
        environment |= {"GITHUB_ENV": str(project / "env"), "GITHUB_PATH": str(project / "path")}
        return subprocess.run(
            ["bash", "-eo", "pipefail", "-c", step], cwd=project, env=environment, capture_output=True, text=True
        )


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
