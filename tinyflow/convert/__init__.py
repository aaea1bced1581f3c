"""Stage: a trained network to ONNX, to int8 TFLite, and through the compiler: torch and TensorFlow are met here.

Imports them when first called, so that the command line starts at once.
"""

from importlib import import_module
from typing import Any

_HOME = {"compile_trained": "trained"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
