"""What a command said with --json, against its schema in docs/json."""

import json
from pathlib import Path
from typing import Any

import jsonschema

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "json"


def schema(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text())


def as_written(command: str, document: dict[str, Any]) -> dict[str, Any]:
    """``document``, which must be as docs/json says; one of a failed check is an error with the result beside it."""
    result = document
    if "error" in document:
        jsonschema.validate(document, schema("error"))
        result = {key: value for key, value in document.items() if key not in ("error", "hint")}
    if result:
        jsonschema.validate(result, schema(command), cls=jsonschema.Draft202012Validator)
    return document
