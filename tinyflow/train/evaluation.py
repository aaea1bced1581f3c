"""Evaluation of final weights: accuracy, balanced accuracy, per-class recall, confusion matrix."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyflow.data.dataset import Dataset
from tinyflow.errors import TinyflowError
from tinyflow.train.artefact import TrainedModel


@dataclass(frozen=True)
class Evaluation:
    accuracy: float  # share of clips, 0 to 1
    balanced_accuracy: float  # mean recall of the classes that occur
    recall: dict[str, float | None]  # by class; None where the split has no clip of it
    confusion: list[list[int]]  # clips; rows: said, columns: heard
    names: tuple[str, ...]  # classes in the order of the confusion matrix
    clips: int
    split: str
    description: str  # which recordings

    def picture(self, path: Path | str) -> None:
        """The confusion matrix as a picture."""
        from tinyflow.train.pictures import confusion_picture

        title = f"{100 * self.accuracy:.2f} % of {self.clips} clips ({self.description})"
        confusion_picture(self.confusion, self.names, title, Path(path))


def evaluate_predictions(
    labels: np.ndarray, predictions: np.ndarray, names: tuple[str, ...], description: str = "", split: str = "testing"
) -> Evaluation:
    """From true and predicted classes, int (N,), indices into ``names``."""
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape or labels.ndim != 1 or not len(labels):
        shapes = f"{labels.shape} labels and {predictions.shape} predictions"
        raise TinyflowError(f"evaluation got {shapes}", "one each per clip, at least one clip")
    for what, values in (("label", labels), ("prediction", predictions)):
        if values.min() < 0 or values.max() >= len(names):
            found = f"{what}s from {values.min()} to {values.max()}"
            raise TinyflowError(f"evaluation got {found} for {len(names)} classes", "check the task")
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (labels, predictions), 1)
    said = confusion.sum(1)
    recall = [confusion[index, index] / said[index] if said[index] else None for index in range(len(names))]
    return Evaluation(
        accuracy=float(np.trace(confusion) / len(labels)),
        balanced_accuracy=float(np.mean([value for value in recall if value is not None])),
        recall={name: None if value is None else float(value) for name, value in zip(names, recall)},
        confusion=confusion.tolist(),
        names=tuple(names),
        clips=len(labels),
        split=split,
        description=description,
    )


def evaluate(trained: TrainedModel, dataset: Dataset, split: str = "testing", device: str = "auto") -> Evaluation:
    """The trained network on a split of ``dataset``, whose labels must be its own."""
    import torch

    from tinyflow.train.batches import feature_chunks
    from tinyflow.train.training import pick_device

    if tuple(dataset.labels) != trained.genotype.labels:
        labels = f"the network knows {list(trained.genotype.labels)}, the data has {list(dataset.labels)}"
        raise TinyflowError(labels, "evaluate on the task it was trained for")
    clips, where = dataset.split(split), pick_device(device)
    network, module = trained.network.to(where).eval(), trained.genotype.frontend.module().to(where)
    try:
        with torch.no_grad():
            chunks = (trained.scaler.apply(chunk).unsqueeze(1) for chunk in feature_chunks(module, clips.audio, where))
            parts = [network(chunk).argmax(1).cpu() for chunk in chunks]
    finally:
        network.cpu()
    if not parts:
        raise TinyflowError(f"the split {split!r} has no clips", "check the data stage: tinyflow data")
    return evaluate_predictions(
        clips.labels, torch.cat(parts).numpy(), trained.genotype.labels, dataset.description, split
    )
