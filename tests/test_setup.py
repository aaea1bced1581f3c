"""setup.sh finds Debian's backports by the machine's own sources, in both formats of apt, and names no host; it
installs what `make lint` and pre-commit run.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml

from tinyflow import apt_sources
from tinyflow.apt_sources import backports
from tinyflow.doctor.packages import fits
from tinyflow.extras import EXTRAS

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = "file:/mirror/debian"
KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"

DEB822 = f"""# from an installer

Types: deb
URIs: file:/mirror/debian-security
Suites: bookworm-security
Components: main
Signed-By: /other.gpg

Types: deb deb-src
# a comment within
URIs: {ADDRESS}
Suites: bookworm
 bookworm-updates
Components: main contrib
Signed-By: {KEY}
"""
INLINE = f"""types: deb
uris: {ADDRESS}/
suites: bookworm
components: main
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY865UxYJKwYBBAHaRw8
 -----END PGP PUBLIC KEY BLOCK-----
"""


def apt(folder: Path, **files: str) -> Path:
    """A folder like /etc/apt; the keyword list is sources.list, others name files of sources.list.d."""
    (folder / "sources.list.d").mkdir(parents=True)
    for name, text in files.items():
        path = folder / "sources.list" if name == "list" else folder / "sources.list.d" / name.replace("_", ".")
        path.write_text(text)
    return folder


def test_deb822(tmp_path):
    said = backports("bookworm", ADDRESS + "/", apt(tmp_path / "a", debian_sources=DEB822))
    assert said == f"Types: deb\nUris: {ADDRESS}\nSuites: bookworm-backports\nComponents: main\nSigned-By: {KEY}\n"
    said = backports("bookworm", ADDRESS, apt(tmp_path / "b", debian_sources=INLINE))
    assert said.endswith(
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEY865UxYJKwYBBAHaRw8\n -----END PGP PUBLIC KEY"
        " BLOCK-----\n"
    )


@pytest.mark.parametrize("options", ["", "[signed-by=/a.gpg] ", "[ arch=amd64 signed-by=/a.gpg ] "])
def test_one_line(tmp_path, options):
    text = (
        f"# deb {ADDRESS} bookworm main\ndeb-src {ADDRESS} bookworm main\ndeb {options}{ADDRESS}/ bookworm contrib main"
        " # all\n"
    )
    assert (
        backports("bookworm", ADDRESS, apt(tmp_path, list=text)) == f"deb {options}{ADDRESS}/ bookworm-backports main\n"
    )


def test_nothing_where_there_is_nothing(tmp_path):
    others = apt(
        tmp_path / "others",
        list=f"deb {ADDRESS} bookworm-updates main\ndeb {ADDRESS} bookworm contrib\n",
        vendor_list="deb file:/vendor bookworm main\n",
        off_sources=f"Enabled: no\nTypes: deb\nURIs: {ADDRESS}\nSuites: bookworm\nComponents: main\n",
        old_disabled=f"deb {ADDRESS} bookworm main\n",
    )
    assert backports("bookworm", ADDRESS, others) == "" and backports("bookworm", ADDRESS, tmp_path / "none") == ""


@pytest.mark.skipif(not shutil.which("apt-get"), reason="needs apt-get")
@pytest.mark.parametrize(
    "name, text",
    [
        ("debian.sources", DEB822),
        ("debian.sources", INLINE),
        ("debian.list", f"deb [signed-by={KEY}] {ADDRESS} bookworm main\n"),
    ],
)
def test_apt_itself_understands_what_is_made(tmp_path, name, text):
    folder = apt(tmp_path, **{name.replace(".", "_"): text})
    made = folder / "sources.list.d" / ("backports" + Path(name).suffix)
    made.write_text(backports("bookworm", ADDRESS, folder))
    where = [
        "-o",
        "Dir::Etc::sourcelist=/dev/null",
        "-o",
        f"Dir::Etc::sourceparts={made.parent}",
        "-o",
        f"Dir::State={tmp_path}",
    ]
    said = subprocess.run(["apt-get", *where, "update", "--print-uris"], capture_output=True, text=True)
    assert f"'{ADDRESS}/dists/bookworm-backports/InRelease'" in said.stdout.split(), said.stderr


def test_runs_before_anything_is_installed():
    result = subprocess.run(
        [sys.executable, "-I", apt_sources.__file__, "bookworm", "file:/nowhere"], capture_output=True, text=True
    )
    assert result.returncode == 0 and result.stdout == "" and result.stderr == ""


def test_setup_names_no_host_and_its_shell_is_sound():
    script = ROOT / "setup.sh"
    assert not re.search(r"https?://|\.(org|com|net)\b", script.read_text() + Path(apt_sources.__file__).read_text())
    assert subprocess.run(["sh", "-n", script]).returncode == 0


def test_the_tools_that_make_lint_and_pre_commit_run_are_pinned_and_installed():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    installed = re.search(r"-e '\.\[([\w,]+)\]'", (ROOT / "setup.sh").read_text())[1].split(",")
    sizes = set(re.search(r"\[([\w,]+)\]", extras["all"][0])[1].split(","))
    assert set(installed) == set(extras) - {"benchmarks"} - sizes and sizes == set(EXTRAS)
    pinned = {requirement.partition("==")[0] for requirement in extras["lint"] if "==" in requirement}
    lint = re.search(r"^lint: setup\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    by_make = re.findall(r"^\t\$\(BIN\)/([\w-]+)", lint, re.MULTILINE)
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    by_hooks = [hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in hooks]
    assert set(by_make) == set(by_hooks) == {"ruff", "mypy", "clang-format", "yamllint", "python"}
    assert set(by_make) - {"python"} <= pinned  # Python runs docs/links.py, which is ours


@pytest.mark.parametrize("minor", [11, 12])
def test_the_lock_holds_all_that_setup_installs_in_versions_that_pyproject_allows(minor):
    """`make lock` made it of the extras that setup.sh installs; it names no host and no file of some machine."""
    text = (ROOT / f"constraints-3.{minor}.txt").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[\w.!]+", line) for line in lines)
    locked = {name.lower().replace("_", "-"): version for name, version in (line.split("==") for line in lines)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *chain(*(extras[name] for name in extras if name not in ("all", "benchmarks")))]
    for requirement in wanted:
        name, versions, marker = re.fullmatch(r"([\w.-]+)([^;]*);?(.*)", requirement).groups()
        if minor == 12 and "python_version < '3.12'" in marker:
            assert name.lower() not in locked
        else:
            assert fits(locked[name.lower().replace("_", "-")], versions.strip()), requirement
    setup, make = (ROOT / "setup.sh").read_text(), (ROOT / "Makefile").read_text()
    assert '-c "$versions"' in setup and "setup.sh $(wildcard constraints-*.txt)" in make
    assert re.search(r"-e '\.(\[[\w,]+\])'", setup)[1] == re.search(r"--quiet .*'\.(\[[\w,]+\])'", make)[1]
