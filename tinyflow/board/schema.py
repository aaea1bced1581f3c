"""A YAML file against a dataclass: what is wrong is named with the file, the key and the value."""

from pathlib import Path
from typing import Any, TypeVar

from tinyflow.errors import TinyflowError

FORBID = {"extra": "forbid"}  # pydantic's: a key that is not a field is an error
T = TypeVar("T")


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in ``path``. TinyflowError when it holds none."""
    import yaml

    try:
        value = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise TinyflowError(f"{path} is not valid YAML: {error}", "check the indentation near that line") from None
    if not isinstance(value, dict):
        raise TinyflowError(f"{path} holds no keys", "docs/boards.md shows a whole one")
    return value


def validated(kind: type[T], value: dict[str, Any], path: Path, hint: str, above: str = "") -> T:
    """``value`` as a ``kind``. TinyflowError names ``path`` and the key, below ``above``."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise TinyflowError(f"{path}: {above}{key} is {first.get('input')!r}: {first['msg']}", hint) from None
