"""What commands return where it is more than one stage's own result; and the result type of every command."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyflow.board import Board
from tinyflow.compile.artefact import CompiledModel
from tinyflow.cost.board_fit import BoardFit
from tinyflow.data.dataset import Summary
from tinyflow.deploy.artefact import Firmware
from tinyflow.deploy.places.place import Place
from tinyflow.pipeline import Step
from tinyflow.results import sometimes
from tinyflow.search.artefact import SearchResult


@dataclass(frozen=True)
class Initialised:
    """What was written."""

    ci: Path | None = sometimes()  # the workflow
    recipe: Path | None = sometimes()
    genotype: Path | None = sometimes()


@dataclass(frozen=True)
class BoardHere(Board):
    """What board.yaml says, and where the board runs."""

    places: tuple[Place, ...] = ()


@dataclass(frozen=True)
class BoardsHere:
    boards: tuple[BoardHere, ...]


@dataclass(frozen=True)
class Made:
    """The stages that were made, or would be."""

    run: Path  # its folder
    dry_run: bool
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Prepared(Made):
    dataset: Summary | None = sometimes()  # not of a dry run


@dataclass(frozen=True)
class Found:
    """A network that a search found."""

    folder: Path
    genotype: dict[str, Any]  # as genotype.json has it
    data_choice: str  # "chosen...", "not met: ..." or "not data aware"
    warnings: tuple[str, ...]
    fit: dict[str, Any] | None  # what it would cost on the board

    @classmethod
    def of(cls, result: SearchResult) -> "Found":
        genotype, fit = result.genotype.to_dict(), result.history.get("fit")
        return cls(result.folder, genotype, result.data_choice, result.warnings, fit)


@dataclass(frozen=True)
class Searched(Made):
    search: Found | None = sometimes()  # not of a dry run


@dataclass(frozen=True)
class Followed:
    """What a process of torchrun's says that only follows the first."""

    run: Path
    rank: int


@dataclass(frozen=True)
class LayerSize:
    name: str  # of its output tensor
    kind: str  # the TFLite builtin's name
    macs: int
    bytes: int  # of its output
    model_bytes: int  # its constants in flash


@dataclass(frozen=True)
class CompiledNetwork:
    name: str
    macs: int  # nominal, padding counted
    model_bytes: int  # packed weights, biases, multipliers (flash)
    arena_bytes: int  # planned
    arena_bound_bytes: int  # the plan's lower bound
    layers: int
    accuracy: dict[str, Any]  # float and int8, on which recordings; empty for a foreign model
    checks: dict[str, Any]  # largest differences on the way from torch to int8
    folder: Path
    memory: dict[str, Any]  # where most is alive, and the largest savings
    by_layer: tuple[LayerSize, ...]
    fits: dict[str, bool]  # by board
    boards: dict[str, BoardFit]

    @classmethod
    def of(cls, compiled: CompiledModel, fits: list[BoardFit]) -> "CompiledNetwork":
        same = ("name", "macs", "model_bytes", "arena_bytes", "arena_bound_bytes", "accuracy", "checks", "folder")
        return cls(
            layers=len(compiled.layers),
            memory=compiled.memory,
            by_layer=tuple(
                LayerSize(layer.name, layer.kind, layer.macs, layer.bytes, layer.model_bytes)
                for layer in compiled.layers
            ),
            fits={fit.board: fit.fits for fit in fits},
            boards={fit.board: fit for fit in fits},
            **{key: getattr(compiled, key) for key in same},
        )


@dataclass(frozen=True)
class Compiled(Made):
    compiled: CompiledNetwork | None = sometimes()  # not of a dry run


@dataclass(frozen=True)
class Built(Made):
    firmware: Firmware | None = sometimes()  # not of a dry run
