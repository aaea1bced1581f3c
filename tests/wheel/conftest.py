"""The distribution of HEAD, built once: these tests see nothing of the working tree, and need the package index."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from fresh import ROOT, outside
from keyword_model import keyword_tflite


@dataclass(frozen=True)
class Distribution:
    clone: Path
    sdist: Path
    wheel: Path


@pytest.fixture(scope="session")
def index(tmp_path_factory) -> None:
    """Skips where the package index cannot be reached: what is built and installed comes from there."""
    asked = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--timeout", "20", "--retries", "1"]
    folder = tmp_path_factory.mktemp("index")
    done = subprocess.run([*asked, "--dest", folder, "click"], env=outside(), capture_output=True, text=True)
    if done.returncode:
        pytest.skip("needs the package index, which pip cannot reach")


@pytest.fixture(scope="session")
def built(index, tmp_path_factory) -> Distribution:
    """`python -m build` in a clean clone of HEAD."""
    folder = tmp_path_factory.mktemp("distribution")
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, folder / "clone"], check=True)
    return distribution(folder / "clone", folder / "dist")


def distribution(clone: Path, out: Path) -> Distribution:
    command = [sys.executable, "-m", "build", "--outdir", str(out), str(clone)]
    done = subprocess.run(command, env=outside(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return Distribution(clone, sdist, wheel)


@pytest.fixture
def project(tmp_path) -> Path:
    """A folder with nothing but an int8 model, which this repository's Python wrote."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "model.tflite").write_bytes(keyword_tflite(24, 10, 8))
    return tmp_path / "project"
