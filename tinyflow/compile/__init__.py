"""Stage: an int8 .tflite to a graph, a memory plan and straight-line C. Pure Python and numpy.

Imports the C generators when first called, so that the command line starts at once.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "compile_tflite": "foreign",
    "load_compiled": "artefact",
    "CompiledModel": "artefact",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
