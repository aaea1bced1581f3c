"""What wheel and sdist hold, and what they say of themselves."""

import re
import subprocess
import sys
import tarfile
from email.parser import BytesParser
from pathlib import Path
from zipfile import ZipFile

import pytest
from fresh import ROOT, outside

from tinyflow.version import __version__

pytestmark = pytest.mark.wheel


@pytest.fixture(scope="module")
def names(built) -> set[str]:
    with ZipFile(built.wheel) as wheel:
        return set(wheel.namelist())


def committed(built, folder: str) -> set[str]:
    said = subprocess.run(["git", "ls-files", folder], cwd=built.clone, capture_output=True, text=True, check=True)
    return set(said.stdout.split())


def test_the_wheel_is_the_package_and_its_resources_and_nothing_else(built, names):
    package = committed(built, "tinyflow")
    resources = set().union(*(committed(built, folder) for folder in ("firmware", "boards", "configs", "LICENSE")))
    facts = {name for name in names if ".dist-info/" in name}
    assert names - facts == package | {f"tinyflow/_resources/{name}" for name in resources}
    for name in (
        "tinyflow/py.typed",
        "tinyflow/cost/coefficients.json",
        "tinyflow/_resources/boards/cores.yaml",
        "tinyflow/_resources/boards/nucleo-l4r5zi/nucleo-l4r5zi.repl",
        "tinyflow/_resources/configs/demo.yaml",
        "tinyflow/_resources/configs/ci/github.yml",
        "tinyflow/_resources/firmware/app/main.c",
    ):
        assert name in names, name
    assert any(name.endswith("licenses/LICENSE") for name in facts)
    assert not [name for name in names if re.search(r"__pycache__|\.pyc$|(^|/)tests?/|(^|/)\.", name)]


def test_the_sdists_wheel_is_the_clones(built, tmp_path):
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "out"), str(source)]
    subprocess.run(command, env=outside(), check=True, capture_output=True)
    assert (tmp_path / "out" / built.wheel.name).read_bytes() == built.wheel.read_bytes()
    # python -m build made that wheel of the sdist: here of the clone itself
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "direct"), str(built.clone)]
    subprocess.run(command, env=outside(), check=True, capture_output=True)
    assert (tmp_path / "direct" / built.wheel.name).read_bytes() == built.wheel.read_bytes()


def test_what_they_say_of_themselves(built):
    assert built.wheel.name == f"tinyflow_mcu-{__version__}-py3-none-any.whl"  # of any platform
    with ZipFile(built.wheel) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        facts = BytesParser().parsebytes(wheel.read(name))
        entry = wheel.read(name.replace("METADATA", "entry_points.txt")).decode()
    assert facts["Name"] == "tinyflow-mcu" and facts["Version"] == __version__
    assert facts["License-Expression"] == "Apache-2.0" and facts["Requires-Python"] == "<3.13,>=3.11"
    assert "Typing :: Typed" in facts.get_all("Classifier") and "tinyflow = tinyflow.cli:main" in entry
    text = facts.get_payload()
    assert text.startswith("\n# tinyflow\n") or text.startswith("# tinyflow\n")
    assert not re.findall(r"\]\((?!https:)[^)]*\)", text), "links that lead nowhere on an index"
    version = re.compile(rf"{re.escape(__version__)}\b")
    saying = [path for path in ("pyproject.toml", "tinyflow/version.py") if version.search((ROOT / path).read_text())]
    assert saying == ["tinyflow/version.py"]


def test_the_long_description_renders(built):
    command = [sys.executable, "-m", "twine", "check", "--strict", built.sdist, built.wheel]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("PASSED") == 2, done.stdout + done.stderr


def test_a_clone_stays_clean(built):
    said = subprocess.run(["git", "status", "--short"], cwd=built.clone, capture_output=True, text=True, check=True)
    assert said.stdout == "" and not Path(built.clone, "dist").exists()
