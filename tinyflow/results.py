"""What a command found, as JSON: typed results become documents, and their types JSON Schemas.

A result is a frozen dataclass; its fields are the keys. Three things a type may say beside that:

    ratio: a ``json_property``                a figure that is computed, and is a key too
    folder: Path = field(metadata=HIDDEN)     a field that is no key
    parity: Parity | None = sometimes()       a key that is left out where it is None (``sometimes_property`` likewise)
"""

import ast
import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import field, fields, is_dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any, Generic, TypeVar, overload

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Value = TypeVar("Value")


class json_property(Generic[Value]):
    """A property that the document has as a key."""

    def __init__(self, function: Callable[[Any], Value]):
        self.function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> "json_property[Value]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: object, owner: type) -> Any:
        return self if instance is None else self.function(instance)


class sometimes_property(json_property[Value]):
    """One whose key is left out where it is None."""


HIDDEN = types.MappingProxyType({"json": "hidden"})  # metadata of a field


def sometimes() -> Any:
    return field(default=None, metadata={"json": "sometimes"})


def to_json(value: Any) -> Any:
    """``value`` of dataclasses, mappings, sequences, paths and numpy's scalars and arrays, as json.dump takes it."""
    if is_dataclass(value) and not isinstance(value, type):
        found = {
            item.name: getattr(value, item.name)
            for item in fields(value)
            if not _left_out(item, getattr(value, item.name))
        }
        for name, item in _computed(type(value)).items():
            figure = getattr(value, name)
            if figure is not None or not isinstance(item, sometimes_property):
                found[name] = figure
        return {name: to_json(item) for name, item in found.items()}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if hasattr(value, "tolist"):  # numpy, which not every command imports
        return to_json(value.tolist())
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in a JSON document")


def _left_out(item: "dataclasses.Field[Any]", value: Any) -> bool:
    kind = item.metadata.get("json")
    return kind == "hidden" or (kind == "sometimes" and value is None)


@cache
def _computed(kind: type) -> dict[str, json_property[Any]]:
    """The json_properties of ``kind``, by name."""
    found: dict[str, json_property[Any]] = {}
    for base in reversed(kind.__mro__):
        found |= {name: item for name, item in vars(base).items() if isinstance(item, json_property)}
    return found


# --- schemas


def json_schema(kind: Any, title: str, names: Mapping[str, Any] = types.MappingProxyType({})) -> dict[str, Any]:
    """The JSON Schema of the documents that to_json makes of a ``kind``: a dataclass, or a union of some.

    names: types that a dataclass names in quotes, and does not import.
    """
    parts = _Parts(names)
    schema = _schema(kind, parts)
    return {"$schema": DIALECT, "title": title, **schema, "$defs": dict(sorted(parts.items()))}


class _Parts(dict[str, Any]):
    """The schemas of the dataclasses in a document, by name."""

    def __init__(self, names: Mapping[str, Any]):
        super().__init__()
        self.names = dict(names)


PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    Path: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    Any: {},
}


def _schema(kind: Any, parts: _Parts) -> dict[str, Any]:
    """The schema of a type; those of the dataclasses in it go to ``parts``."""
    if kind in PLAIN:
        return dict(PLAIN[kind])
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(item, parts) for item in arguments]}
    if origin is list or (origin is tuple and arguments[1:] == (...,)):
        return {"type": "array", "items": _schema(arguments[0], parts)}
    if origin is tuple:
        each = [_schema(item, parts) for item in arguments]
        return {"type": "array", "prefixItems": each, "minItems": len(each), "maxItems": len(each)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1], parts)}
    if is_dataclass(kind) and isinstance(kind, type):
        if kind.__name__ not in parts:
            parts[kind.__name__] = {}  # where it holds itself
            parts[kind.__name__] = _object(kind, parts)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    raise TypeError(f"{kind} has no JSON Schema")


def _object(kind: type, parts: _Parts) -> dict[str, Any]:
    told = _remarks(kind)
    hints = typing.get_type_hints(kind, localns=parts.names)
    properties: dict[str, Any] = {}
    needed = []
    for item in fields(kind):
        how, hint = item.metadata.get("json"), hints[item.name]
        if how == "hidden":
            continue
        if how == "sometimes":
            hint = _without_none(hint)
        else:
            needed.append(item.name)
        properties[item.name] = _said(_schema(hint, parts), told.get(item.name))
    for name, computed in _computed(kind).items():
        hint = typing.get_type_hints(computed.function, localns=parts.names)["return"]
        if isinstance(computed, sometimes_property):
            hint = _without_none(hint)
        else:
            needed.append(name)
        properties[name] = _said(_schema(hint, parts), inspect.getdoc(computed.function))
    about = "" if (kind.__doc__ or "").startswith(f"{kind.__name__}(") else inspect.getdoc(kind)
    whole = {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}
    return _said(whole, about)


def _without_none(hint: Any) -> Any:
    return typing.Union[tuple(item for item in typing.get_args(hint) if item is not type(None))]  # noqa: UP007 (a tuple)


def _said(schema: dict[str, Any], text: str | None) -> dict[str, Any]:
    return {"description": " ".join(text.split()).replace("``", "`"), **schema} if text else schema


def _remarks(kind: type) -> dict[str, str]:
    """Field name -> the comment behind it in the source, of ``kind`` and of what it derives from."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not is_dataclass(base):
            continue
        source = dedent(inspect.getsource(base))
        lines = source.splitlines()
        definition = ast.parse(source).body[0]
        assert isinstance(definition, ast.ClassDef)
        for node in definition.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                remark = re.match(r"\s*# (?!noqa)(.*)", lines[(node.end_lineno or 1) - 1][node.end_col_offset or 0 :])
                if remark:
                    found[node.target.id] = remark[1]
    return found
