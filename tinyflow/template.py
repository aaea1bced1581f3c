"""The commented recipe of `tinyflow init`, written from the schema itself so that it cannot drift from it."""

import inspect
import json
import re
import typing
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from tinyflow.artefacts import CONFIGS, write_text
from tinyflow.errors import TinyflowError
from tinyflow.recipe import Recipe

GENOTYPE = CONFIGS / "genotypes" / "demo.json"


def template(name: str, genotype: str, source: str = "synthetic", recordings: str = "") -> str:
    """YAML text: every key with its default, its unit and what it may be. ``source`` and
    ``recordings``: of the data.
    """
    lines = [
        "# A tinyflow recipe. Every key is shown with its default; leave out what you do not change.",
        f"# tinyflow build --recipe {name}.yaml --board mps2-an386",
        f"name: {_yaml(name)}",
    ]
    lines += _section(
        Recipe,
        "",
        {"name", "base"},
        {
            "genotype": genotype,
            "source": source,
            "path": recordings,
            "task": "keywords" if source == "folder" else "gsc12",
        },
    )
    return "\n".join(lines) + "\n"


def _section(kind: type, indent: str, skip: set[str], values: dict[str, Any]) -> list[str]:
    hints = typing.get_type_hints(kind)
    comments = dict(re.findall(r"^    (\w+): .*?  # (.+)$", inspect.getsource(kind), re.MULTILINE))
    lines = []
    for item in fields(kind):
        if item.name in skip:
            continue
        section = next((kind for kind in typing.get_args(hints[item.name]) if is_dataclass(kind)), None)
        if section:  # one that may be null: its keys are shown behind marks
            about = (inspect.getdoc(section) or "").splitlines()[0]
            lines.append(
                f"{indent}{item.name}: null  # {about} To use it, take away `null` and the marks of the keys below"
            )
            lines += [f"{indent}# {line}" for line in _section(section, "  ", set(), {})]
            continue
        if is_dataclass(hints[item.name]):
            about = (inspect.getdoc(hints[item.name]) or "").splitlines()[0]
            note = "" if about.startswith(hints[item.name].__name__ + "(") else f"  # {about}"
            lines += [f"{indent}{item.name}:{note}", *_section(hints[item.name], indent + "  ", set(), values)]
            continue
        default = item.default if item.default is not MISSING else item.default_factory()
        default = values.get(item.name, default)
        choices = typing.get_args(hints[item.name]) if typing.get_origin(hints[item.name]) is typing.Literal else ()
        note = "; ".join(
            part
            for part in (comments.get(item.name, ""), " | ".join(map(str, choices)) if len(choices) > 1 else "")
            if part
        )
        lines.append(f"{indent}{item.name}: {_yaml(default)}" + (f"  # {note}" if note else ""))
    return lines


def _yaml(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(_yaml(item) for item in value) + "]"
    if isinstance(value, float):  # 3e-4 would be a string to YAML 1.1: it wants a point
        return (
            f"{value:.10f}".rstrip("0").rstrip(".") + (".0" if value == int(value) else "")
            if abs(value) >= 1e-6 or value == 0
            else f"{value:.1e}"
        )
    if isinstance(value, str):
        return (
            value
            if re.fullmatch(r"(?!true$|false$|null$)[A-Za-z_][\w./-]*", value)
            else json.dumps(value, ensure_ascii=False)
        )
    return str(value)


def write_template(path: Path, force: bool = False, recordings: Path | None = None) -> tuple[Path, Path]:
    """Writes ``path`` and, beside it, its genotype; returns both. Refuses to overwrite without ``force``.

    ``recordings``: the folder that the recipe's data comes from; without it the data is synthetic.
    """
    source = "synthetic"
    if recordings is not None:
        from tinyflow.data import source_of

        if not recordings.is_dir():
            raise TinyflowError(
                f"{recordings} is not a folder", "name the folder that has a folder per word: --data my_words/"
            )
        source = source_of(recordings)
    if path.suffix not in (".yaml", ".yml"):
        raise TinyflowError(f"{path}: a recipe ends in .yaml", f"tinyflow init {path}.yaml")
    genotype = path.parent / f"{path.stem}.genotype.json"
    for target in (path, genotype):
        if target.exists() and not force:
            raise TinyflowError(
                f"{target} exists", "--force overwrites it, or give another name: tinyflow init my.yaml"
            )
    write_text(genotype, GENOTYPE.read_text())
    write_text(path, template(path.stem, genotype.name, source, str(recordings.resolve()) if recordings else ""))
    return path, genotype
