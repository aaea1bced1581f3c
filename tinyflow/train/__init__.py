"""Stage: a genotype and a Dataset to a TrainedModel.

Imports torch when first called, so that the command line starts at once.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "train_model": "training",
    "evaluate": "evaluation",
    "evaluate_predictions": "evaluation",
    "Evaluation": "evaluation",
    "TrainedModel": "artefact",
    "load_trained": "artefact",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
