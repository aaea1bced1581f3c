"""Pictures of a search: both cells as graphs (as the paper's Figs. 3 to 6), gamma over time, alpha, and how it went.

Read from the genotype and from the history's epochs, so they can be drawn again at any time.
"""

from pathlib import Path
from typing import Any

from tinyflow.artefacts import atomic_path
from tinyflow.network.genotype import Cell, Genotype

PICTURES = ("normal.png", "reduction.png", "history.png", "gamma.png", "alpha.png", "frontend.png")
INPUT, NODE, OUTPUT = "#d9ead3", "#cfe2f3", "#fff2cc"  # boxes of a cell's inputs, nodes and output
LINES = ("tab:green", "tab:olive", "tab:blue", "tab:purple", "tab:red", "tab:brown")  # by the edge's source


def search_pictures(folder: Path, genotype: Genotype, history: dict[str, Any]) -> None:
    """normal.png, reduction.png, and, as far as the history has them, history.png, gamma.png, frontend.png and
    alpha.png.
    """
    for name in ("normal", "reduction"):
        cell_picture(getattr(genotype, name), f"{name} cell", folder / f"{name}.png")
    epochs = history.get("epochs") or []
    if epochs:
        history_picture(history, folder / "history.png")
    if epochs and len(epochs[-1].get("gamma") or []) > 1:
        gamma_picture(history, folder / "gamma.png")
    if epochs and epochs[-1].get("frontend"):
        frontend_picture(history, folder / "frontend.png")
    if epochs and epochs[-1].get("alpha_normal"):
        alpha_picture(history, folder / "alpha.png")


def _figure(width: float, height: float):
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, metadata={"Software": None})


def cell_picture(cell: Cell, title: str, path: Path) -> None:
    """A cell from left to right. Every node stands in a row and a column of its own, so that no line meets a box or a
    name: an edge leaves its source along the source's row, comes down left of its node and carries its operation's name
    there.
    """
    figure = _figure(13, 5.2)
    axes = figure.subplots()
    box, gap, pitch = 0.34, 0.16, 1.0  # half the height of a box, of the distance of its two edges; rows
    rows = [0.0, -pitch, *(-(2 + index) * pitch for index in range(len(cell)))]
    lefts = [0.0, 0.0, *(2.9 + 2.9 * index for index in range(len(cell)))]
    widths = [0.95, 0.95, *([0.6] * len(cell))]
    end = lefts[-1] + 1.7  # left side of the output

    def boxed(left: float, bottom: float, width: float, height: float, text: str, colour: str) -> None:
        from matplotlib.patches import FancyBboxPatch

        axes.add_patch(
            FancyBboxPatch(
                (left, bottom),
                width,
                height,
                boxstyle="round,pad=0,rounding_size=0.08",
                facecolor=colour,
                edgecolor="0.3",
                zorder=3,
            )
        )
        axes.text(left + width / 2, bottom + height / 2, text, ha="center", va="center", fontsize=12, zorder=4)

    def arrow(xs: list[float], ys: list[float], colour: str) -> None:
        axes.plot(xs, ys, color=colour, linewidth=1.5, solid_joinstyle="round", zorder=1)
        axes.annotate(
            "",
            (xs[-1], ys[-1]),
            (xs[-1] - 0.2, ys[-1]),
            arrowprops={"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0},
        )

    for index, node in enumerate(cell):
        for place, edge in enumerate(
            sorted(node, key=lambda edge: edge.source)
        ):  # the upper edge comes from the upper source
            y = rows[index + 2] + (gap if place == 0 else -gap)
            turn = lefts[index + 2] - (1.72 if place == 0 else 1.9)
            start, colour = lefts[edge.source] + widths[edge.source], LINES[edge.source % len(LINES)]
            arrow([start, turn, turn, lefts[index + 2]], [rows[edge.source], rows[edge.source], y, y], colour)
            axes.text(
                lefts[index + 2] - 0.92,
                y,
                edge.operation,
                ha="center",
                va="center",
                fontsize=9.5,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
                zorder=2,
            )
    for index in range(len(cell)):
        state = index + 2
        arrow([lefts[state] + widths[state], end], [rows[state], rows[state]], LINES[state % len(LINES)])
        boxed(lefts[state], rows[state] - box, widths[state], 2 * box, str(index), NODE)
    for index, text in enumerate(("$c_{k-2}$", "$c_{k-1}$")):
        boxed(lefts[index], rows[index] - box, widths[index], 2 * box, text, INPUT)
    boxed(end, rows[-1] - box, 0.7, rows[2] - rows[-1] + 2 * box, "$c_k$", OUTPUT)
    axes.set(xlim=(-0.15, end + 0.85), ylim=(rows[-1] - 0.55, 0.55), title=title)
    axes.set_axis_off()
    _save(figure, path)


def gamma_picture(history: dict[str, Any], path: Path) -> None:
    """softmax(gamma) by epoch; the warm-up is shaded, a line marks where the data search stopped."""
    epochs, names = history["epochs"], history["frontends"]
    numbers = [item["epoch"] for item in epochs]
    figure = _figure(9, 4.2)
    axes = figure.subplots()
    order = sorted(range(len(names)), key=lambda index: -epochs[-1]["gamma"][index])
    for index in order:  # the legend reads as the lines end
        values = [item["gamma"][index] for item in epochs]
        axes.plot(numbers, values, label=f"{names[index]}  {values[-1]:.3f}", marker="o" if len(numbers) == 1 else None)
    _shade_warmup(axes, history)
    if history.get("data_stop"):
        axes.axvline(history["data_stop"], color="black", linestyle="--", linewidth=1, label="data search stopped")
    axes.set(xlabel="epoch", ylabel="softmax of gamma", ylim=(0, None))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, title="window/hop/mels")
    _save(figure, path)


def frontend_picture(history: dict[str, Any], path: Path) -> None:
    """Window and hop of a continuous front end by epoch, in samples."""
    epochs = history["epochs"]
    figure = _figure(7, 4)
    axes = figure.subplots()
    for key in ("window", "hop"):
        axes.plot(
            [item["epoch"] for item in epochs],
            [item["frontend"][key] for item in epochs],
            label=key,
            marker="o" if len(epochs) == 1 else None,
        )
    _shade_warmup(axes, history)
    axes.set(xlabel="epoch", ylabel="samples", ylim=(0, None), title=f"snapped to {epochs[-1]['frontend']['snapped']}")
    axes.legend()
    _save(figure, path)


def _shade_warmup(axes, history: dict[str, Any]) -> None:
    axes.xaxis.get_major_locator().set_params(integer=True)  # epochs
    if history["warmup_epochs"]:
        last = min(history["warmup_epochs"], len(history["epochs"]))
        axes.axvspan(0.5, last + 0.5, color="0.93", zorder=0, label="warm-up")


def alpha_picture(history: dict[str, Any], path: Path) -> None:
    """softmax(alpha) of every edge (source->node) and operation in the last epoch; the number beside an edge is its
    beta.
    """
    import numpy as np

    last, operations, edges = history["epochs"][-1], history["operations"], history["edges"]
    figure = _figure(11, 5.6)
    panels = figure.subplots(1, 2)
    # what is undecided stays pale
    darkest = max(0.4, float(np.max(last["alpha_normal"])), float(np.max(last["alpha_reduction"])))
    for axes, kind in zip(panels, ("normal", "reduction")):
        values, beta = np.array(last[f"alpha_{kind}"]), last[f"beta_{kind}"]
        image = axes.imshow(values, cmap="Blues", vmin=0, vmax=darkest, aspect="auto")
        axes.set_xticks(range(len(operations)), operations, rotation=60, ha="right")
        axes.set_yticks(
            range(len(edges)), [f"{source}->{node}   {share:.2f}" for (source, node), share in zip(edges, beta)]
        )
        axes.set(title=f"{kind} cell", ylabel="edge, and its softmax of beta")
        shade = 0.6 * darkest
        for row, column in np.ndindex(values.shape):
            axes.text(
                column,
                row,
                f"{values[row, column]:.2f}"[1:],
                ha="center",
                va="center",
                fontsize=7,
                color="white" if values[row, column] > shade else "black",
            )
    figure.colorbar(image, ax=panels, label="softmax of alpha", shrink=0.8)
    _save(figure, path)


def history_picture(history: dict[str, Any], path: Path) -> None:
    """Losses, accuracy of the supernet proxy, and entropies of alpha, beta and gamma, by epoch."""
    epochs = history["epochs"]
    figure = _figure(13, 3.8)
    losses, accuracy, entropy = figure.subplots(1, 3)
    _lines(
        losses,
        history,
        {"loss": "weights, on training clips", "architecture_loss": "architecture, on validation clips"},
    )
    losses.set(xlabel="epoch", ylabel="loss (cross-entropy)")
    _lines(accuracy, history, {"proxy_accuracy": "supernet proxy, held-out clips"}, 100)
    accuracy.set(xlabel="epoch", ylabel="accuracy, %")
    _lines(entropy, history, {"entropy_alpha": "alpha", "entropy_beta": "beta", "entropy_gamma": "gamma"})
    entropy.set(xlabel="epoch", ylabel="entropy, share of the largest possible", ylim=(0, 1.05))
    figure.suptitle(f"{history['description']}; {len(epochs)} epochs, {history['device']}")
    _save(figure, path)


def _lines(axes, history: dict[str, Any], keys: dict[str, str], factor: float = 1.0) -> None:
    _shade_warmup(axes, history)
    for key, label in keys.items():
        points = [(item["epoch"], factor * item[key]) for item in history["epochs"] if item.get(key) is not None]
        if points:
            axes.plot(*zip(*points), label=label, marker="o" if len(points) == 1 else None)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)
