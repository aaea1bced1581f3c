"""Pictures of training and evaluation."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyflow.artefacts import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _save(figure: "Figure", path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def history_picture(history: dict[str, Any], path: Path) -> None:
    """Loss, and accuracy on training (augmented) and validation clips, by epoch."""
    from matplotlib.figure import Figure

    epochs = history["epochs"]
    numbers = [item["epoch"] for item in epochs]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    loss.plot(numbers, [item["loss"] for item in epochs], color="tab:blue")
    loss.set(xlabel="epoch", ylabel="training loss")
    accuracy.plot(numbers, [100 * item["accuracy"] for item in epochs], label="training", color="tab:blue")
    if all(item["validation_accuracy"] is not None for item in epochs):
        accuracy.plot(
            numbers, [100 * item["validation_accuracy"] for item in epochs], label="validation", color="tab:orange"
        )
    accuracy.set(xlabel="epoch", ylabel="accuracy, %")
    accuracy.legend()
    figure.suptitle(
        f"{history['description']}; {history['parameters']:,} parameters, {history['macs'] / 1e6:.2f} M MACs"
    )
    _save(figure, path)


def confusion_picture(confusion: list[list[int]], names: tuple[str, ...], title: str, path: Path) -> None:
    """Rows: what was said; columns: what was heard; shade: share of the row; numbers: clips."""
    import numpy as np
    from matplotlib.figure import Figure

    counts = np.array(confusion)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = max(4.0, 0.42 * len(counts) + 1.8)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(counts)), names, rotation=90)
    axes.set_yticks(range(len(counts)), names)
    axes.set(xlabel="heard", ylabel="said", title=title)
    for row, column in zip(*np.nonzero(counts)):
        shade = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(int(counts[row, column])), ha="center", va="center", color=shade, fontsize=7)
    _save(figure, path)
