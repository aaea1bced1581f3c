"""The larger sizes, and the base at the lowest versions that pyproject.toml allows: `make nightly`, gigabytes."""

import re
import tomllib

import pytest
from base_walk import walk
from fresh import ROOT, Fresh, pythons

from tinyflow.extras import EXTRAS

pytestmark = [pytest.mark.nightly, pytest.mark.qemu]
SMOKE = ("--recipe", "smoke")


def lowest() -> list[str]:
    """The base's requirements at their lowest: "numpy>=1.26,<3" as "numpy==1.26"."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return [re.sub(r"([\w-]+)[>=]=([\w.]+).*", r"\1==\2", requirement) for requirement in wanted]


@pytest.mark.parametrize("python", pythons())
def test_the_base_at_its_lowest_versions(built, project, tmp_path, python):
    assert len(lowest()) > 5 and all("==" in requirement for requirement in lowest())
    fresh = Fresh.made(python, tmp_path / "venv", str(built.wheel), *lowest())
    walk(fresh, project)
    print(fresh.told("base, lowest versions"))


def test_train_searches_and_trains(built, project, tmp_path):
    fresh = Fresh.made(pythons()[0], tmp_path / "venv", f"{built.wheel}[train]")
    print(fresh.told("train"))
    _about(fresh, "train")
    fresh.says("train", *SMOKE, cwd=project)
    assert 0 <= fresh.says("evaluate", *SMOKE, cwd=project)["accuracy"] <= 1
    done = fresh.run("compile", *SMOKE, cwd=project, check=False)
    assert done.returncode == 1 and "pip install 'tinyflow-mcu[convert]'" in done.stderr
    walk(fresh, project)


def test_convert_alone_is_what_doctor_says(built, tmp_path):
    fresh = Fresh.made(pythons()[0], tmp_path / "venv", f"{built.wheel}[convert]")
    print(fresh.told("convert"))
    _about(fresh, "convert")


def test_all_goes_from_speech_to_firmware(built, project, tmp_path):
    fresh = Fresh.made(pythons()[0], tmp_path / "venv", f"{built.wheel}[all]")
    print(fresh.told("all"))
    assert fresh.says("doctor", cwd=project)["size"] == "all"
    fresh.says("build", *SMOKE, "--board", "mps2-an386", cwd=project)
    assert fresh.says("run", *SMOKE, "--board", "mps2-an386", cwd=project)["passed"]


def _about(fresh: Fresh, extra: str) -> None:
    """What tinyflow says that an extra takes is about what it takes."""
    megabytes = fresh.bytes() / 1e6 - 130
    assert 0.8 * EXTRAS[extra].megabytes < megabytes < 1.2 * EXTRAS[extra].megabytes, megabytes
