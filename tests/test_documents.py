"""What the documents name is there: modules and functions of tinyflow, and files of the repository."""

import ast
import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FILES_CALLED_TINYFLOW = ("tinyflow.c", "tinyflow.h", "tinyflow.rules", "tinyflow.yml")
NAME = re.compile(r"\btinyflow(?:\.(?:\w+|\{\w+(?:,\w+)*\}))+")
FILE = re.compile(r"`((?:tinyflow|firmware|boards|configs|tests|benchmarks|docs)/[\w./*-]+)`")


def expanded(name: str) -> list[str]:
    """``a.{b,c}.d`` as ``a.b.d`` and ``a.c.d``."""
    parts = [part.strip("{}").split(",") for part in re.split(r"\.(?![^{]*\})", name)]
    return [".".join(choice) for choice in itertools.product(*parts)]


def exists(name: str) -> bool:
    """Whether ``name`` is a package, a module, or something that one of them defines (or imports when it is asked)."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        base = ROOT.joinpath(*parts[:length])
        source = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if source.is_file():
            return length == len(parts) or parts[length] in defined(source)
    return False


def defined(source: Path) -> set[str]:
    text = source.read_text()
    names = set(re.findall(r'"(\w+)": "\w+"', text)) if source.name == "__init__.py" else set()
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_names_and_files_are_there(document):
    text = document.read_text()
    wrong = [name for found in NAME.findall(text) for name in expanded(found) if not exists(name)]
    wrong = [name for name in wrong if name not in FILES_CALLED_TINYFLOW]
    for path in FILE.findall(text):
        there = list(ROOT.glob(path)) if "*" in path else (ROOT / path).exists() or (ROOT / f"{path}.py").exists()
        wrong += [] if there else [path]
    assert not wrong
