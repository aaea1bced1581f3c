"""SearchResult: what search hands to train."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyflow.artefacts import read_json, write_json
from tinyflow.errors import TinyflowError
from tinyflow.network.genotype import Genotype, read_genotype

GENOTYPE, HISTORY = "genotype.json", "history.json"
NOT_DATA_AWARE = "not data aware"  # one front end: there was nothing to choose from


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The genotype that a search found, and how it came to it; its files are in ``folder``."""

    folder: Path
    genotype: Genotype
    history: dict[str, Any]  # "epochs": one dict each; "fit": against the board, when one is named
    warnings: tuple[str, ...]  # known failures that were seen: skips dominate, gamma did not choose
    data_choice: str  # "chosen...", "not met: ..." (the stop rule; arg max of gamma stands in), "not data aware"


def save_search(
    folder: Path, genotype: Genotype, history: dict[str, Any], warnings: tuple[str, ...], data_choice: str
) -> None:
    """The genotype is written last: where it lies, the search was finished."""
    write_json(folder / HISTORY, {**history, "warnings": list(warnings), "data_choice": data_choice})
    genotype.write(folder / GENOTYPE)


def load_search(folder: Path | str) -> SearchResult:
    """The result in ``folder``; TinyflowError when a file is missing or of another version."""
    folder = Path(folder)
    genotype, history = read_genotype(folder / GENOTYPE), read_json(folder / HISTORY)
    try:
        return SearchResult(folder, genotype, history, tuple(history["warnings"]), history["data_choice"])
    except (KeyError, TypeError):
        raise TinyflowError(
            f"{folder / HISTORY} was written by another version of tinyflow", "run `tinyflow search` again"
        ) from None
