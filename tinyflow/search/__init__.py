"""Stage: a Dataset to a genotype, front end and cells together (paper, sections 3 and 4).

Imports torch when first called, so that the command line starts at once. ``random_search`` is a module of its own.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "run_search": "searching",
    "search_network": "searching",
    "SearchResult": "artefact",
    "load_search": "artefact",
    "Supernet": "supernet",
    "DataMixture": "mixture",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
