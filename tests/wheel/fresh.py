"""Fresh virtual environments far from the repository, and what is asked of a tinyflow that was installed into one."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def pythons() -> list[str]:
    """This Python, and one of each other minor version that tinyflow runs on: on PATH, or kept beside this one."""
    found = {sys.version_info[1]: sys._base_executable}
    for minor in (11, 12):
        beside = sorted(Path(sys.base_prefix).parent.glob(f"3.{minor}*/bin/python3.{minor}"))
        for path in (shutil.which(f"python3.{minor}"), *map(str, beside)):
            if path and minor not in found and _runs(path):
                found[minor] = path
    return [found[minor] for minor in sorted(found)]


def _runs(path: str) -> bool:  # a version manager's stand-in may not
    return subprocess.run([path, "-c", "import ensurepip, venv"], capture_output=True).returncode == 0


def outside() -> dict[str, str]:
    """The environment without this repository: no PYTHONPATH, no .venv in PATH."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    here = Path(sys.prefix, "bin")
    environment["PATH"] = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if Path(part) != here)
    return environment


@dataclass(frozen=True)
class Fresh:
    """A virtual environment with what was asked of pip, and how long that took."""

    folder: Path
    seconds: float

    @staticmethod
    def made(python: str, folder: Path, *requirements: str) -> "Fresh":
        subprocess.run([python, "-m", "venv", folder], check=True, env=outside())
        begin = time.perf_counter()
        fresh = Fresh(folder, 0.0)
        fresh.install(*requirements)
        return Fresh(folder, time.perf_counter() - begin)

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def install(self, *requirements: str) -> None:
        command = [self.python, "-m", "pip", "install", "--quiet", *requirements]
        done = subprocess.run(command, env=outside(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-4000:]

    def run(self, *arguments: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """``arguments`` of tinyflow, in ``cwd``."""
        command = [str(self.folder / "bin" / "tinyflow"), *arguments]
        done = subprocess.run(command, cwd=cwd, env=outside(), capture_output=True, text=True)
        assert not check or done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done

    def says(self, *arguments: str, cwd: Path) -> dict[str, Any]:
        """The document of a command."""
        return json.loads(self.run(*arguments, "--json", cwd=cwd).stdout)

    def packages(self) -> dict[str, str]:
        """Name -> version of what is installed."""
        command = [self.python, "-m", "pip", "list", "--format", "json"]
        said = subprocess.run(command, env=outside(), capture_output=True, text=True, check=True)
        return {item["name"].lower().replace("_", "-"): item["version"] for item in json.loads(said.stdout)}

    def bytes(self) -> int:
        """Of every file, pip's among them."""
        return sum(path.stat(follow_symlinks=False).st_size for path in self.folder.rglob("*") if path.is_file())

    def seconds_of(self, *command: str) -> float:
        """Wall seconds of ``command``, whose program is the environment's; the second of two, for the disk's sake."""
        for _ in range(2):
            begin = time.perf_counter()
            subprocess.run(
                [self.folder / "bin" / command[0], *command[1:]], env=outside(), check=True, capture_output=True
            )
            took = time.perf_counter() - begin
        return took

    def told(self, size: str) -> str:
        """One line of what this size takes."""
        imported = self.seconds_of("python", "-c", "import tinyflow.cli")
        helped = self.seconds_of("tinyflow", "--help")
        version = self.packages()["tinyflow-mcu"]
        return (
            f"{size}: {self.bytes() / 1e6:,.0f} MB, installed in {self.seconds:.0f} s; import tinyflow.cli "
            f"{imported:.2f} s, tinyflow --help {helped:.2f} s ({Path(self.python).resolve().name}, tinyflow {version})"
        )
