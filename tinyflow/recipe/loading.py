"""A recipe from YAML, from a dict, or from another recipe with some keys replaced; always checked."""

import re
import typing
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tinyflow.artefacts import CONFIGS
from tinyflow.errors import TinyflowError
from tinyflow.recipe.checking import check
from tinyflow.recipe.sections import Recipe


def parse_yaml(text: str) -> Any:
    """YAML with the two rules of 1.2 that recipes need: only true and false are booleans (yes, no, on and off are
    keywords to spot), and 3e-4 is a number."""
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers = {
            first: [rule for rule in rules if rule[0] not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:float")]
            for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
    )
    number = re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    return yaml.load(text, Loader)


def find_recipe(name: Path | str) -> Path:
    """The file of the recipe ``name``: a path to one, or a name in configs/."""
    path = Path(name)
    if path.suffix or path.is_file():
        return path
    known = sorted(item.stem for item in CONFIGS.glob("*.yaml"))
    if str(name) not in known:
        near = get_close_matches(str(name), known, 1)
        raise TinyflowError(
            f"no recipe {str(name)!r}",
            f"did you mean {near[0]!r}?" if near else f"recipes: {', '.join(known)}, or a YAML file",
        )
    return CONFIGS / f"{name}.yaml"


def load_recipe(path: Path | str, overrides: tuple[str, ...] = ()) -> Recipe:
    """The recipe in ``path`` with ``--set section.key=value`` overrides applied, validated."""
    import yaml

    path = Path(path)
    try:
        value = parse_yaml(path.read_text())
    except FileNotFoundError:
        raise TinyflowError(f"no recipe at {path}", "make one with `tinyflow init`, or name one of configs/") from None
    except OSError as error:
        raise TinyflowError(
            f"cannot read the recipe {path}: {error.strerror}", "name a YAML file of configs/"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TinyflowError(f"{path} is not valid YAML: {error}", "check the indentation near that line") from None
    if not isinstance(value, dict):
        raise TinyflowError(f"{path} is not a recipe (a mapping of sections)", "start from `tinyflow init`")
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise TinyflowError(f"--set {override}: no key=value", "for example --set train.epochs=20")
        section = value
        *parents, last = key.split(".")
        for parent in parents:
            if section.get(parent) is None:  # a section that is null is one to be opened
                section[parent] = {}
            section = section[parent]
            if not isinstance(section, dict):
                raise TinyflowError(
                    f"--set {override}: {parent!r} is a value, not a section", "for example --set train.epochs=20"
                )
        try:
            section[last] = parse_yaml(text)
        except yaml.YAMLError as error:
            raise TinyflowError(
                f"--set {override}: the value is not valid YAML: {getattr(error, 'problem', error)}",
                "lists in brackets and quotes: --set 'data.keywords=[yes, no]'",
            ) from None
    if "base" in value:
        raise TinyflowError(f"{path}: unknown key 'base'", "paths start from the folder of the recipe")
    value.setdefault("name", path.stem)
    value["base"] = str(path.resolve().parent)
    return recipe_from_dict(value, str(path))


def recipe_from_dict(value: dict[str, Any], where: str = "recipe") -> Recipe:
    """Validate ``value`` against the schema; TinyflowError names the file, the key and the way out."""
    from pydantic import TypeAdapter, ValidationError

    try:
        recipe = TypeAdapter(Recipe).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "unexpected_keyword_argument" or first["type"] == "extra_forbidden":
            known = _known_keys(first["loc"][:-1])
            near = get_close_matches(str(first["loc"][-1]), known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys here: {', '.join(known)}"
            raise TinyflowError(f"{where}: unknown key {key!r}", hint) from None
        raise TinyflowError(
            f"{where}: {key} is {first.get('input')!r}: {first['msg']}",
            "`tinyflow init` writes a commented recipe with every key",
        ) from None
    check(recipe, where)
    return recipe


def override(recipe: Recipe, values: dict[str, Any]) -> Recipe:
    """``recipe`` with dotted keys replaced, {"search.learning_rate": 0.05}, and checked; without pydantic."""
    for key, value in values.items():
        recipe = _replaced(recipe, key.split("."), value, key)
    try:
        check(recipe, recipe.name)
    except TypeError as error:
        raise TinyflowError(
            f"{recipe.name}: a value of {values} is of a wrong type: {error}", "docs/scale.md"
        ) from None
    return recipe


def _replaced(section: Any, path: list[str], value: Any, key: str) -> Any:
    name, *rest = path
    known = [item.name for item in fields(section) if item.name != "base"] if is_dataclass(section) else []
    if name not in known:
        near = get_close_matches(name, known, 1)
        hint = (
            f"did you mean {near[0]!r}?"
            if near
            else f"known keys there: {', '.join(known)}"
            if known
            else "the section above it is null in this recipe"
        )
        raise TinyflowError(f"unknown key {key!r}", hint)
    value = (
        _replaced(getattr(section, name), rest, value, key)
        if rest
        else tuple(value)
        if isinstance(value, list)
        else value
    )
    return replace(section, **{name: value})


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    kind: Any = Recipe
    for part in location:
        kind = typing.get_type_hints(kind).get(str(part))
        if not is_dataclass(kind):
            return []
    return [item.name for item in fields(kind) if item.name != "base"]
