"""Whether a compiled model fits a board, before any build: what is planned, counted and estimated, against the board's
memory.
"""

from dataclasses import dataclass

from tinyflow.board import Board
from tinyflow.compile.artefact import CompiledModel
from tinyflow.cost import footprint as image
from tinyflow.frontend.registry import front_end_of
from tinyflow.results import json_property

LABELS = {
    "arena_bytes": "planned",
    "stack_bytes": "reserved",
    "static_bytes": "estimated",
    "model_bytes": "counted",
    "code_bytes": "estimated",
}


@dataclass(frozen=True)
class BoardFit:
    """One model on one board, bytes; LABELS says how each was obtained."""

    board: str
    arena_bytes: int
    stack_bytes: int
    static_bytes: int  # the application's own RAM
    ram_limit: int
    model_bytes: int
    code_bytes: int
    flash_limit: int

    @json_property
    def ram_bytes(self) -> int:
        return self.arena_bytes + self.stack_bytes + self.static_bytes

    @json_property
    def flash_bytes(self) -> int:
        return self.model_bytes + self.code_bytes

    @json_property
    def fits(self) -> bool:
        return not self.warnings

    @json_property
    def warnings(self) -> tuple[str, ...]:
        """What does not fit, and by how much."""
        sides = (("RAM", self.ram_bytes, self.ram_limit), ("flash", self.flash_bytes, self.flash_limit))
        return tuple(
            f"{used:,} B of {name} (estimated) exceed the {limit:,} B of {self.board} by {used - limit:,} B"
            for name, used, limit in sides
            if used > limit
        )

    @json_property
    def labels(self) -> dict[str, str]:
        """How each figure was obtained."""
        return LABELS


def board_fit(compiled: CompiledModel, board: Board) -> BoardFit:
    """``compiled`` on ``board``, which must have memory regions; without self-test clips."""
    config = front_end_of(compiled.frontend.config) if compiled.frontend else None
    kernels = {name for layer in compiled.layers for name in layer.kernels}
    return BoardFit(
        board.name,
        compiled.arena_bytes,
        board.stack_bytes,
        image.static_bytes(config),
        board.region("RAM").length,
        compiled.model_bytes,
        image.code_bytes(len(compiled.layers), len(kernels), config),
        board.region("FLASH").length,
    )
