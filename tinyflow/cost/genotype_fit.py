"""Whether a genotype fits a board, before anybody trains or converts it: the compiler's own planner on its shape-only
Graph.

Counts of multiply-accumulates and parameters are exact, the arena is planned; instructions and flash are estimated.
"""

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

from tinyflow.board import Board
from tinyflow.compile.plan import plan_memory
from tinyflow.cost import footprint as image
from tinyflow.cost import instructions
from tinyflow.network.genotype import Genotype
from tinyflow.network.shape_graph import count_parameters, shape_graph

LABELS = {
    "instructions": "estimated", "frontend_instructions": "estimated", "parameters": "counted", "macs": "counted",
    "arena_bytes": "planned", "ram_bytes": "estimated", "flash_bytes": "estimated",
}  # fmt: skip
SAVINGS = 3


@dataclass(frozen=True)
class Fit:
    """One genotype on one board. Instructions are per second of audio, one inference a second."""

    board: str
    instructions: float  # of one inference
    frontend_instructions: float
    parameters: int  # before folding
    macs: int
    arena_bytes: int
    ram_bytes: int  # arena, the application's own and the reserved stack
    flash_bytes: int  # without self-test clips
    budget: dict[str, int]  # instructions per second of audio, ram_bytes, flash_bytes; 0: not checked
    fits: bool
    reasons: tuple[str, ...]  # budgets that are exceeded, and by how much
    savings: tuple[str, ...]  # the kinds of operator that take most instructions
    how: str  # the model of the estimates

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "reasons": list(self.reasons), "savings": list(self.savings), "labels": LABELS}


def exact_fit(genotype: Genotype, board: Board) -> Fit:
    """``genotype`` on ``board``; budgets of 0, and the memory of a board that has none (host), are not checked."""
    graph, table = shape_graph(genotype), instructions.table()
    network, frontend = instructions.network_instructions(graph), instructions.frontend_instructions(genotype.frontend)
    arena = plan_memory(graph).arena_bytes
    ram = arena + board.stack_bytes + image.static_bytes(genotype.frontend)
    flash = image.flash_bytes(graph, genotype.frontend)
    used = {"instructions": network + frontend, "ram_bytes": ram, "flash_bytes": flash}
    regions = {region.name: region.length for region in board.memory}
    budget = {
        "instructions": board.instruction_budget,
        "ram_bytes": regions.get("RAM", 0),
        "flash_bytes": regions.get("FLASH", 0),
    }
    names = {
        "instructions": "instructions per second of audio",
        "ram_bytes": "bytes of RAM",
        "flash_bytes": "bytes of flash",
    }
    reasons = tuple(
        f"{used[key]:,.0f} {names[key]} ({LABELS[key]}) exceed the {limit:,} of {board.name}"
        f" by {used[key] / limit - 1:.0%}"
        for key, limit in budget.items()
        if limit and used[key] > limit
    )
    return Fit(
        board.name,
        round(network),
        round(frontend),
        count_parameters(genotype),
        instructions.macs(graph),
        arena,
        ram,
        flash,
        budget,
        not reasons,
        reasons,
        _savings(graph, genotype, network, frontend),
        f"{table['how']}: {table['compiler']}, {table['board']}, {table['emulator']}, {table['date']}; {table['unit']}",
    )


def _savings(graph, genotype: Genotype, network: float, frontend: float) -> tuple[str, ...]:
    """Where most instructions go, the largest first."""
    parts: dict[str, float] = defaultdict(float)
    for op in graph.ops:
        parts[instructions.kind(graph, op)] += instructions.operator_instructions(graph, op)
    parts[f"the front end {genotype.frontend.name}"] = frontend
    largest = sorted(parts.items(), key=lambda item: -item[1])[:SAVINGS]
    return tuple(
        f"{name}: {count / 1e6:,.1f} M of {(network + frontend) / 1e6:,.1f} M instructions (estimated)"
        for name, count in largest
    )
