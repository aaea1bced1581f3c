"""What the documents name is there: modules and functions of tinyflow, files of the repository, what links lead to;
every page is of the site (`make docs`), which a browser reads without a network.
"""

import ast
import importlib.util
import itertools
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")),
    *sorted((ROOT / "docs").glob("*.md")),
]
# files, and the group of the entry points for boards
NO_MODULES = ("tinyflow.boards", "tinyflow.c", "tinyflow.h", "tinyflow.rules", "tinyflow.yml")
NAME = re.compile(r"\btinyflow(?:\.(?:\w+|\{\w+(?:,\w+)*\}))+")
MADE = re.compile(r"^ *New, `([^`]+)`.*\n\s*```(?:.*\n)*?\s*```$", re.MULTILINE)  # by who follows the page
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
    names = set(re.findall(r'"(\w+)": "[\w.]+"', text)) if source.name == "__init__.py" else set()
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
    text = MADE.sub("", document.read_text())
    wrong = [name for found in NAME.findall(text) for name in expanded(found) if not exists(name)]
    wrong = [name for name in wrong if name not in NO_MODULES]
    made = MADE.findall(document.read_text())
    for path in set(FILE.findall(text)) - set(made):
        there = list(ROOT.glob(path)) if "*" in path else (ROOT / path).exists() or (ROOT / f"{path}.py").exists()
        wrong += [] if there else [path]
    assert not wrong


def of_docs(name: str) -> ModuleType:
    """The module docs/``name``.py."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_lead_somewhere():
    links = of_docs("links")
    assert {ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "docs" / "boards.md"} <= set(links.pages())
    assert not [line for page in links.pages() for line in links.broken(page)]


def test_links_that_lead_nowhere_are_found(tmp_path):
    (tmp_path / "b.md").write_text("# Two words, `code`\n\n## Same\n\n## Same\n```\n# no heading\n```\n")
    page = tmp_path / "a.md"
    page.write_text(
        "[right](b.md#two-words-code) [right](b.md#same-1) [elsewhere](https://nowhere.invalid/) `[code](c.md)`\n"
        "[gone](c.md) [gone](b.md#same-2) [gone](b.md#no-heading) [gone](#here)\n"
    )
    found = [line.split(": ")[1] for line in of_docs("links").broken(page)]
    assert found == ["c.md", "b.md#same-2", "b.md#no-heading", "#here"]


def test_every_page_is_in_the_sites_order():
    def pages(entry) -> list[str]:
        return [entry] if isinstance(entry, str) else [page for item in entry.values() for page in pages_of(item)]

    def pages_of(item) -> list[str]:
        return [item] if isinstance(item, str) else [page for entry in item for page in pages(entry)]

    site = pytest.importorskip("mkdocs") and of_docs("site")
    named = pages_of(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    there = [path.name for path in (ROOT / "docs").glob("*.md")] + list(site.ROOT_PAGES.values())
    assert sorted(named) == sorted(there)


def test_the_sites_links():
    pytest.importorskip("mkdocs")
    text = "[a](docs/a.md#x) ![p](docs/p.svg) [c](CHANGELOG.md) [r](../README.md#install) [b](b.md)"
    said = of_docs("site").on_page_markdown(text)
    assert said == "[a](a.md#x) ![p](p.svg) [c](changelog.md) [r](index.md#install) [b](b.md)"


def test_a_page_that_fetches_is_refused(tmp_path):
    pytest.importorskip("mkdocs")
    page, build = tmp_path / "page.html", of_docs("site").on_post_build
    page.write_text('<a href="https://a.b/">a</a><script src="x.js"></script><link rel=icon href=y>')
    build({"site_dir": tmp_path})
    for fetched in (
        "script async src='https://a.b/x.js'",
        'link href="//a.b/x" rel="stylesheet"',
        "img src=http://a.b",
    ):
        page.write_text(f"<{fetched}>")
        with pytest.raises(Exception, match="page.html fetches"):
            build({"site_dir": tmp_path})


def test_every_name_of_the_reference_says_what_it_is():
    griffe = pytest.importorskip("griffe")
    package = griffe.load("tinyflow", search_paths=[ROOT], allow_inspection=False)
    silent = []
    for page in DOCUMENTS:
        for name in re.findall(r"^::: (tinyflow\S+)", page.read_text(), re.MULTILINE):
            found = package[name.removeprefix("tinyflow.")]
            silent += [] if found.docstring else [name]
    assert not silent
