"""The commented recipe of `tinyflow init`, written from the schema itself so that it cannot drift from it."""

import inspect
import json
import re
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from tinyflow.artefacts import CONFIGS, write_text
from tinyflow.errors import TinyflowError
from tinyflow.recipe import Recipe
from tinyflow.recipe.keys import Key, key_of

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


def _section(kind: type[Any], indent: str, skip: set[str], values: dict[str, Any]) -> list[str]:
    hints = typing.get_type_hints(kind)
    lines: list[str] = []
    for item in fields(kind):
        hint = hints[item.name]
        nullable = next((kind for kind in typing.get_args(hint) if is_dataclass(kind)), None)
        if item.name in skip:
            continue
        if isinstance(nullable, type):  # its keys are shown behind marks
            note = f"{_about(nullable)} To use it, take away `null` and the marks of the keys below"
            lines.append(f"{indent}{item.name}: null  # {note}")
            lines += [f"{indent}# {line}" for line in _section(nullable, "  ", set(), {})]
        elif isinstance(hint, type) and is_dataclass(hint):
            note = _about(hint)
            lines.append(f"{indent}{item.name}:" + (f"  # {note}" if note else ""))
            lines += _section(hint, indent + "  ", set(), values)
        else:
            note = _note(key_of(item), hint)
            value = _yaml(values.get(item.name, item.default))
            lines.append(f"{indent}{item.name}: {value}" + (f"  # {note}" if note else ""))
    return lines


def _about(section: type[Any]) -> str:
    about = (inspect.getdoc(section) or "").splitlines()[0]
    return "" if about.startswith(f"{section.__name__}(") else about  # what dataclass says of one without a docstring


def _note(key: Key, hint: Any) -> str:
    """What a key means [and what it may be]."""
    choices = typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()
    may_be = key.rule.says if key.rule else " | ".join(choices) if len(choices) > 1 else ""
    return f"{key.means} [{may_be}]".strip() if may_be else key.means


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
