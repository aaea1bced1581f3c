"""What compile says of a network: its sizes, its layers, and the boards that it fits."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyflow.board import Board
from tinyflow.compile.artefact import CompiledModel
from tinyflow.cost.board_fit import BoardFit, board_fit


@dataclass(frozen=True)
class LayerSize:
    name: str  # of its output tensor
    kind: str  # the TFLite builtin's name
    macs: int
    bytes: int  # of its output
    model_bytes: int  # its constants in flash


@dataclass(frozen=True)
class CompiledNetwork:
    """A compiled model in figures, and beside boards."""

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
    def of(cls, compiled: CompiledModel, boards: Iterable[Board]) -> "CompiledNetwork":
        """``compiled`` beside those of ``boards`` that have memory regions, as the board host has none."""
        fits = {board.name: board_fit(compiled, board) for board in boards if board.memory}
        same = ("name", "macs", "model_bytes", "arena_bytes", "arena_bound_bytes", "accuracy", "checks", "folder")
        return cls(
            layers=len(compiled.layers),
            memory=compiled.memory,
            by_layer=tuple(
                LayerSize(layer.name, layer.kind, layer.macs, layer.bytes, layer.model_bytes)
                for layer in compiled.layers
            ),
            fits={name: fit.fits for name, fit in fits.items()},
            boards=fits,
            **{key: getattr(compiled, key) for key in same},
        )
