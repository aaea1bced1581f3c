"""Scaler and int8 quantisation as one multiply-add, in the float32 arithmetic of the C. numpy only."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyflow.errors import TinyflowError
from tinyflow.frontend.scaler import Scaler


@dataclass(frozen=True, eq=False)
class FeatureQuantization:
    """``q = clamp(rne(feature * multiplier + offset), -128, 127)``; multiplier, offset: float32 (features,)."""

    multiplier: npt.NDArray[np.float32]
    offset: npt.NDArray[np.float32]

    @staticmethod
    def of(scaler: Scaler, scale: float, zero_point: int) -> "FeatureQuantization":
        """For a network input with real = scale * (q - zero_point). Each number is rounded to float32 once."""
        if not (np.isfinite(scale) and scale > 0 and -128 <= zero_point <= 127):
            raise TinyflowError(
                f"the network's input has scale {scale} and zero point {zero_point}",
                "an int8 input has a positive scale and a zero point in [-128, 127]",
            )
        multiplier = 1.0 / (scaler.std.astype(np.float64) * float(scale))
        offset = zero_point - scaler.mean.astype(np.float64) * multiplier
        return FeatureQuantization(multiplier.astype(np.float32), offset.astype(np.float32))

    def quantize(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
        """float32 (..., features) to int8: product, then sum, each rounded to float32; then half to
        even, then clamped.
        """
        product = np.asarray(features, dtype=np.float32) * self.multiplier
        quantized: npt.NDArray[np.int8] = np.clip(np.rint(product + self.offset), -128, 127).astype(np.int8)
        return quantized
