"""The layers of docs/architecture.md: an import points down, no two packages of a layer know each other, no circles."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tinyflow"
ALL = sorted(PACKAGE.rglob("*.py"))


def layers() -> list[list[str]]:
    """As docs/architecture.md draws them, top to bottom."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    drawn = re.search(r"<!-- layers -->\n```\n(.*?)```", text, re.DOTALL)
    assert drawn, "docs/architecture.md no longer draws the layers"
    return [line.split("·")[0].split() for line in drawn[1].splitlines() if line.strip()]


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module(path): path for path in ALL}


def imports(path: Path) -> set[str]:
    """Modules of tinyflow that ``path`` imports anywhere: at its top, in functions, for types."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "tinyflow":
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import hides what it imports"
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "tinyflow"}
    return found


def home(name: str) -> str:
    """The package below tinyflow, or the module there."""
    return name.split(".")[1] if "." in name else ""


def test_every_package_has_its_layer():
    drawn = [name for layer in layers() for name in layer]
    assert sorted(drawn) == sorted({home(name) for name in MODULES} - {""}) and len(set(drawn)) == len(drawn)


def test_imports_point_down():
    rank = {name: depth for depth, layer in enumerate(layers()) for name in layer}
    wrong = []
    for name, path in MODULES.items():
        for other in imports(path):
            here, there = home(name), home(other)
            if here and here != there and (not there or rank[there] <= rank[here]):
                wrong.append(f"{name} imports {other}")
    assert not wrong


def test_the_compiler_stands_on_its_own():
    """What the smallest wheel holds: a .tflite to C, without torch, TensorFlow, data or front ends."""
    allowed = {"compile", "errors", "artefacts", "board", "progress"}
    known = {home(other) for name, path in MODULES.items() if home(name) == "compile" for other in imports(path)}
    assert known <= allowed


def test_no_circles():
    graph = {name: imports(path) - {name} for name, path in MODULES.items()}
    done: set[str] = set()

    def follow(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for other in sorted(graph.get(name, ())):
                follow(other, (*trail, name))
            done.add(name)

    for name in graph:
        follow(name, ())


def test_no_function_shares_its_packages_name():
    """``tinyflow.train.train`` would be a function in one import and a package in another."""
    for name, path in MODULES.items():
        if path.name == "__init__.py" and home(name):
            functions = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
            exported = re.findall(r'"(\w+)": "\w+"', path.read_text())
            assert name.rpartition(".")[2] not in (*functions, *exported)
