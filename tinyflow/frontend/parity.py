"""Parity gate (a): int8 features of the C, in floats or in integers, against those of torch. numpy only."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyflow.errors import TinyflowError

LARGEST_LSB = 1
LARGEST_SHARE = 0.001


@dataclass(frozen=True)
class Parity:
    values: int  # compared
    differing: int
    largest_lsb: int

    @property
    def share(self) -> float:
        return self.differing / self.values if self.values else 0.0

    @property
    def passed(self) -> bool:
        return self.largest_lsb <= LARGEST_LSB and self.share <= LARGEST_SHARE

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        return (
            f"{verdict}: {self.differing} of {self.values} values differ ({self.share:.4%}), by at most"
            f" {self.largest_lsb} LSB"
        )


def compare(c: npt.NDArray[np.int8], torch: npt.NDArray[np.int8]) -> Parity:
    """Two int8 arrays of one shape. Passed: at most 1 LSB apart, in at most 0.1 % of the values."""
    if c.shape != torch.shape or c.dtype != np.int8 or torch.dtype != np.int8 or not c.size:
        raise TinyflowError(
            f"parity: {c.dtype} {c.shape} against {torch.dtype} {torch.shape}", "both are int8 of one shape, not empty"
        )
    difference = np.abs(c.astype(np.int16) - torch.astype(np.int16))
    return Parity(c.size, int(np.count_nonzero(difference)), int(difference.max()))
