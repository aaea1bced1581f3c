"""The Pareto front of many searches: no other is at least as good in every objective and better in one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinyflow.artefacts import atomic_path

OBJECTIVES = {"accuracy": +1, "instructions": -1, "ram_bytes": -1}  # +1: the more the better; -1: the less


def pareto_front(rows: Sequence[Mapping[str, Any]], objectives: Mapping[str, int] = OBJECTIVES) -> list[int]:
    """Indices of the rows that no other row dominates, in the order of ``rows``; equal rows stay together.

    A row that lacks an objective (a failed point) is left out.
    """
    goodness = {
        index: [sign * row[name] for name, sign in objectives.items()]
        for index, row in enumerate(rows)
        if all(row.get(name) is not None for name in objectives)
    }

    def dominates(one: list[float], other: list[float]) -> bool:
        return one != other and all(a >= b for a, b in zip(one, other))

    return [
        index for index, values in goodness.items() if not any(dominates(other, values) for other in goodness.values())
    ]


def pareto_picture(rows: Sequence[Mapping[str, Any]], path: Path, title: str) -> None:
    """Accuracy over instructions, RAM as the shade; the front is circled and named."""
    from matplotlib.figure import Figure

    shown = [row for row in rows if all(row.get(name) is not None for name in OBJECTIVES)]
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    million, percent = [row["instructions"] / 1e6 for row in shown], [100 * row["accuracy"] for row in shown]
    points = axes.scatter(million, percent, c=[row["ram_bytes"] / 1024 for row in shown], cmap="viridis", s=40)
    if shown:
        figure.colorbar(points, label="RAM, KiB, estimated (arena planned)")
    for index in pareto_front(shown):
        axes.scatter(million[index], percent[index], s=140, facecolors="none", edgecolors="tab:red")
        axes.annotate(
            shown[index]["frontend"],
            (million[index], percent[index]),
            textcoords="offset points",
            xytext=(7, 4),
            fontsize=7,
        )
    axes.set(
        xlabel="million instructions per second of audio, estimated",
        ylabel="accuracy on held-out validation clips, %",
        title=title,
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
