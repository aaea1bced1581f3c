"""The per-coefficient scaler of the front end: mean and standard deviation over training clips."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyflow.errors import TinyflowError

# Speech spreads every coefficient by 0.1 or more (natural log units). A coefficient that hardly moves in the training
# clips carries nothing: dividing by less would blow its rounding noise up to the size of the others.
STD_FLOOR = 0.01


@dataclass(frozen=True, eq=False)
class Scaler:
    """``apply`` gives (feature - mean) / std, per coefficient. mean, std: float32 (features,)."""

    mean: npt.NDArray[np.float32]
    std: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float32))
        if self.mean.ndim != 1 or self.mean.shape != self.std.shape:
            raise TinyflowError(
                f"scaler: mean {self.mean.shape} and std {self.std.shape} differ", "both are (features,)"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and (self.std > 0).all()):
            raise TinyflowError(
                "scaler: mean or std is not finite, or std is not positive", "fit it on training clips again"
            )

    @staticmethod
    def fit(batches: Iterable[Any]) -> "Scaler":
        """From batches of features (..., features), torch or numpy: population statistics, accumulated in float64.

        Batches are merged by Chan's formula, so that a large mean (-71 with 80 mels) costs no digits.
        """
        count, mean, squares = 0, np.zeros(0), np.zeros(0)
        for batch in batches:
            values = batch.detach().cpu().numpy() if hasattr(batch, "detach") else np.asarray(batch)
            values = values.reshape(-1, values.shape[-1]).astype(np.float64)
            if not len(values):
                continue
            new_mean = values.mean(axis=0)
            new_squares = ((values - new_mean) ** 2).sum(axis=0)
            if not count:
                count, mean, squares = len(values), new_mean, new_squares
                continue
            total, delta = count + len(values), new_mean - mean
            squares = squares + new_squares + delta**2 * (count * len(values) / total)
            mean = mean + delta * (len(values) / total)
            count = total
        if not count:
            raise TinyflowError("scaler: there are no training clips to fit on", "check the data stage: tinyflow data")
        std = np.maximum(np.sqrt(squares / count), STD_FLOOR)
        return Scaler(mean.astype(np.float32), std.astype(np.float32))

    def apply(self, features: Any) -> Any:
        """(..., features) to the same, scaled: a torch tensor on its device, or a float32 array."""
        if isinstance(features, np.ndarray):
            return (features.astype(np.float32, copy=False) - self.mean) / self.std
        import torch

        mean, std = (torch.from_numpy(value).to(features.device) for value in (self.mean, self.std))
        return (features - mean) / std

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; float32 to decimal and back is exact."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    @staticmethod
    def from_dict(value: dict[str, Any]) -> "Scaler":
        try:
            return Scaler(np.array(value["mean"]), np.array(value["std"]))
        except (KeyError, TypeError, ValueError) as error:
            raise TinyflowError(
                f"scaler: {error!r}", 'it is {"mean": [...], "std": [...]}, one number per coefficient'
            ) from None
