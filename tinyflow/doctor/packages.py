"""Python and its packages: in which size tinyflow is installed, and what each missing extra would add."""

import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from tinyflow.artefacts import CHECKOUT
from tinyflow.doctor.checks import Check
from tinyflow.extras import DISTRIBUTION, EXTRAS, install_command

PYTHON = ((3, 11), (3, 13))  # at least, below
DEVELOPERS = {  # what it is for, and what adds it where tinyflow is a checkout
    "test": ("make test", "make setup"),
    "lint": ("make lint", "make setup"),
    "docs": ("make docs", "make setup"),
    "benchmarks": ("benchmarks/plain_export.py", install_command("benchmarks")),
}


@dataclass(frozen=True)
class ExtraHere:
    """One of the extras that a user may add to the base."""

    name: str  # oracle, train, convert
    installed: bool  # whole, and in versions that fit
    adds: str  # what it is for
    megabytes: int  # about what it takes beside the base
    command: str  # that adds it to this Python


def python() -> Check:
    at_least, below = PYTHON
    return Check(
        "Python",
        at_least <= sys.version_info[:2] < below,
        f"{platform.python_version()} ({sys.executable})",
        "everything",
        "make setup PYTHON=/usr/bin/python3.11",
    )


def python_packages() -> list[Check]:
    """Of the base, which must be there, and of each extra, which need not; those of developers in a checkout alone."""
    try:
        wanted = _requirements()
    except metadata.PackageNotFoundError:
        return [Check("Python packages", False, "tinyflow itself is not installed", "everything", "make setup")]
    checks = [_group("", wanted, "an int8 .tflite, from compile to flash", install_command(""))]
    checks += [_group(name, wanted, extra.adds, install_command(name)) for name, extra in EXTRAS.items()]
    return checks + [_group(name, wanted, *its) for name, its in DEVELOPERS.items() if CHECKOUT]


def extras_here() -> tuple[ExtraHere, ...]:
    try:
        wanted = _requirements()
    except metadata.PackageNotFoundError:
        wanted = {}
    return tuple(
        ExtraHere(
            name,
            bool(wanted.get(name)) and not any(_wrong(*package) for package in wanted[name]),
            extra.adds,
            extra.megabytes,
            install_command(name),
        )
        for name, extra in EXTRAS.items()
    )


def _requirements() -> dict[str, list[tuple[str, str]]]:
    """What tinyflow's metadata wants here: extra ("": the base) -> distributions, each with its versions, ">=2,<3"."""
    found: dict[str, list[tuple[str, str]]] = {}
    for requirement in metadata.requires(DISTRIBUTION) or []:
        text, _, marker = requirement.partition(";")
        extra = re.search(r"extra == ['\"](\w+)['\"]", marker)
        below = re.search(r"python_version < ['\"]3\.(\d+)['\"]", marker)
        name, versions = re.fullmatch(r"([\w.-]+)(?:\[[^\]]*\])?\s*(.*)", text.strip()).groups()  # type: ignore[union-attr]
        if not (below and sys.version_info[1] >= int(below[1])):
            found.setdefault(extra[1] if extra else "", []).append((name, versions.strip("() ")))
    return found


def _group(extra: str, wanted: dict[str, list[tuple[str, str]]], needed_for: str, mend: str) -> Check:
    packages = wanted.get(extra, [])
    wrong = [said for said in (_wrong(*package) for package in packages) if said]
    if extra and not packages:
        wrong = [f"this tinyflow was installed by a version that had no [{extra}]"]
    right = [f"{name} {metadata.version(name)}" for name, versions in packages if not _wrong(name, versions)]
    found = ", ".join(wrong) or f"{len(right)} that fit: " + ", ".join(right)
    title = "Python packages" + (f" [{extra}]" if extra else "")
    return Check(title, not wrong, found, needed_for, mend, bool(extra))


def _wrong(name: str, versions: str) -> str:
    """What is wrong with the distribution ``name`` here; "" where nothing is."""
    try:
        here = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} absent"
    return "" if fits(here, versions) else f"{name} {here} (wanted: {versions})"


def fits(version: str, versions: str) -> bool:
    """Whether ``version`` is among ``versions``, of which pyproject.toml has ==, >= and <."""
    return all(
        version == limit if sign == "==" else (_numbers(version) >= _numbers(limit)) == (sign == ">=")
        for sign, limit in _clauses(versions)
    )


def _clauses(versions: str) -> Iterator[tuple[str, str]]:
    for clause in filter(None, versions.split(",")):
        found = re.fullmatch(r"\s*(==|>=|<)\s*(\S+)\s*", clause)
        assert found, f"pyproject.toml has a version that doctor cannot read: {clause}"
        yield found[1], found[2]


def _numbers(version: str) -> tuple[int, ...]:
    """(2, 13) of "2.13.0rc1": what precedes the first part that is no number, without zeros at the end."""
    numbers = [int(number) for number in re.match(r"(?:\d+(?:\.(?=\d))?)*", version)[0].split(".")]  # type: ignore[index]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
