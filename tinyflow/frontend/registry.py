"""The kinds of front end: every folder of tinyflow/frontend/ whose __init__.py has a FRONT_END."""

import pkgutil
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import tinyflow.frontend as package
from tinyflow.errors import TinyflowError
from tinyflow.frontend.protocol import FrontEnd


def _found() -> dict[str, type[FrontEnd]]:
    kinds: dict[str, type[FrontEnd]] = {}
    for item in pkgutil.iter_modules(package.__path__):
        if item.ispkg:
            kind = getattr(import_module(f"{package.__name__}.{item.name}"), "FRONT_END", None)
            if kind is not None:
                assert kind.kind == item.name, f"the front end of {item.name}/ calls itself {kind.kind!r}"
                kinds[item.name] = kind
    return kinds


KINDS: dict[str, type[FrontEnd]] = _found()


def front_end_named(name: str) -> FrontEnd:
    """The front end that a recipe calls ``name``: "640/320/40", "logmel/640/320/40"."""
    for kind in KINDS.values():
        found = kind.named(str(name))
        if found is not None:
            return found
    forms = ", or ".join(f"{kind.form} ({kind.title})" for kind in KINDS.values())
    raise TinyflowError(f"front end {name!r}", f"{forms}, in samples and bands, such as 640/320/40")


def front_end_of(value: dict[str, Any]) -> FrontEnd:
    """The front end that ``FrontEnd.to_dict`` wrote."""
    kind = value.get("kind")
    if kind not in KINDS:
        near = get_close_matches(str(kind), KINDS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"kinds: {', '.join(KINDS)}"
        raise TinyflowError(f"front end of kind {kind!r}", hint)
    return KINDS[kind].from_dict(value)
