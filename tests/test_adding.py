"""The recipes of docs/adding.md, followed to the letter in a copy of the repository: blocks go where the page says, and
its commands run.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "adding.md"
COPIED = ("tinyflow", "firmware", "boards", "configs", "tests", "benchmarks", "docs", "pyproject.toml")
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
NEW = re.compile(r"New, `([^`]+)`(?:, [^:`]+)?:\Z")
END = re.compile(r"At the end of `([^`]+)`:\Z")
BESIDE = re.compile(r"In `([^`]+)`,\s+(above|below|in\s+place\s+of)\s+(`+)(.+?)\3:\Z")


def recipe(title: str) -> str:
    return PAGE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def put(where: str, text: str, root: Path) -> None:
    """``text`` into the file that ``where``, the end of what stands above its block, names."""
    if found := NEW.search(where):
        path = root / found[1]
        assert not path.exists(), f"{found[1]} is there already"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    elif found := END.search(where):
        path = root / found[1]
        path.write_text(f"{path.read_text()}\n\n{text}")
    else:
        found = BESIDE.search(where)
        assert found, f"where does this block go? {where[-200:]!r}"
        name, place, _, anchor = found.groups()
        path = root / name
        lines = path.read_text().splitlines(keepends=True)
        found = [index for index, line in enumerate(lines) if line.startswith(anchor)]
        assert len(found) == 1, f"{name} has {len(found)} lines that begin with {anchor!r}"
        at = found[0]
        first, last = {"above": (at, at), "below": (at + 1, at + 1)}.get(place, (at, at + 1))
        path.write_text("".join([*lines[:first], text, *lines[last:]]))


def follow(title: str, root: Path) -> int:
    """The recipe called ``title`` in the copy ``root``; how many files it wrote."""
    text, written = recipe(title), 0
    for block in BLOCK.finditer(text):
        indent, language, body = block.groups()
        body = re.sub(rf"^{indent}", "", body, flags=re.MULTILINE)
        if language == "sh":
            run(body, root)
        else:
            put(text[: block.start()].rstrip(), body, root)
            written += 1
    return written


def run(commands: str, root: Path) -> None:
    programs = root / "programs"
    programs.mkdir(exist_ok=True)
    for name, command in (("python", 'exec {} "$@"'), ("tinyflow", 'exec {} -m tinyflow.cli "$@"')):
        (programs / name).write_text("#!/bin/sh\n" + command.format(sys.executable) + "\n")
        (programs / name).chmod(0o755)
    environment = os.environ | {"PYTHONPATH": str(root), "PATH": f"{programs}:{os.environ['PATH']}"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run(["bash", "-euxc", commands], cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-3000:]}{done.stderr[-3000:]}"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


EVERY_OPERATOR = """
from bit_exact import assert_bit_exact
from model_zoo import every_operator
assert "ABS" in [layer.kind for layer in assert_bit_exact(every_operator()).layers]
"""


@pytest.mark.slow
def test_an_operator(copy):
    assert follow("An operator", copy) == 3
    assert re.search(r"^\\|.*`ABS`", (copy / "docs" / "kernels.md").read_text(), re.MULTILINE)
    run(f"PYTHONPATH=$PYTHONPATH:tests:benchmarks python -c '{EVERY_OPERATOR}'", copy)


@pytest.mark.slow
@pytest.mark.parametrize("title, files", [("A front end", 6), ("A search operation", 3), ("A recipe key", 3)])
def test_the_recipe_works_as_it_is_written(title, files, copy):
    assert follow(title, copy) == files


def test_a_recipe_that_has_gone_stale_fails(copy):
    (copy / "file.py").write_text("first\nsecond\n")
    for where, said in (
        ("In `file.py`, below `third`:", "0 lines that begin with 'third'"),
        ("New, `file.py`:", "there already"),
        ("Somewhere:", "where does this block go"),
    ):
        with pytest.raises(AssertionError, match=said):
            put(where, "text\n", copy)
    put("In `file.py`, in place of\n   `second`:", "other\n", copy)
    put("In `file.py`, above `first`:", "zeroth\n", copy)
    assert (copy / "file.py").read_text() == "zeroth\nfirst\nother\n"
    with pytest.raises(AssertionError):
        run("python -c 'raise SystemExit(1)'", copy)
