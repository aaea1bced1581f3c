"""Nearest-neighbour resampling, the one definition that torch, the converter and the generated C share."""

import numpy as np
from numpy.typing import NDArray


def nearest(
    inputs: int, outputs: int, half_pixel_centers: bool = True, align_corners: bool = False
) -> NDArray[np.int64]:
    """Indices int64 (outputs,) that TFLite's RESIZE_NEAREST_NEIGHBOR reads along an axis of ``inputs``, in its float32
    arithmetic; with its defaults here, floor((i + 0.5) * inputs / outputs)."""
    corners = align_corners and outputs > 1
    scale = np.float32(inputs - corners) / np.float32(outputs - corners)
    places = (np.arange(outputs, dtype=np.float32) + np.float32(0.5 if half_pixel_centers else 0.0)) * scale
    indices = np.floor(places.astype(np.float64) + 0.5) if align_corners else np.floor(places)  # half away from zero
    clipped: NDArray[np.int64] = np.minimum(indices.astype(np.int64), inputs - 1)
    return clipped
