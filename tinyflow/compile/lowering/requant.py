"""Requantisation in few instructions (firmware/kernels/requant.h), where it equals TFLM's for every reachable
accumulator.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyflow.compile.fixedpoint import requantize
from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.step import activation_range, int8
from tinyflow.compile.lowering.weights import biases, operand, per_channel

LARGEST_SHIFT = 22  # 129 << 22 and a value below 2**30 add up within int32


def requant(graph: Graph, op: Op, weights: NDArray[np.int8], axis: int) -> dict[str, Any] | None:
    """The fields of a ``requant_s8`` struct: the weights (constant int8) of ``op``, their output channels along
    ``axis``.

    channels: int32 (channels, 4) rows of bias, multiplier, rounding, shift. None where the shortcut is not proven: an
    accumulator that may reach 2**30, or a channel that is not divided after its multiplication; and in a graph for the
    reference kernels.
    """
    if graph.reference:
        return None
    tensor = graph.tensor(op.inputs[1])
    rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1).astype(np.int64)
    bias = biases(graph, op, len(rows))
    quant, limits = per_channel(graph, op, tensor, axis), activation_range(graph, op)
    zero, output_zero = operand(graph, op)[1], int8(graph, op, op.outputs[0])[1]
    folded = (0 if bias is None else bias.astype(np.int64)) - zero * rows.sum(1)
    multiplier, shift = (np.broadcast_to(quant[name].astype(np.int64), len(rows)) for name in ("multiplier", "shift"))
    right = -shift
    folded, multiplier, right = _constants(rows, folded, multiplier, right, limits, output_zero)
    if (
        (np.abs(folded) + 128 * np.abs(rows).sum(1) >= 1 << 30).any()
        or (right < 1).any()
        or (right > LARGEST_SHIFT).any()
    ):
        return None
    rounding = (1 << (right - 1)) + (output_zero << right)
    low, high = limits["activation_min"], limits["activation_max"]
    return {
        "channels": np.stack([2 * folded, multiplier, rounding, right], axis=1).astype(np.int32),
        "signed_ties": int(
            low < output_zero
        ),  # at or above the zero point, a negative value is clamped however it is rounded
        "bounded": int(low > -128 or high < 127),
        **limits,
    }


def _constants(
    rows: NDArray[np.int64],
    folded: NDArray[np.int64],
    multiplier: NDArray[np.int64],
    right: NDArray[np.int64],
    limits: dict[str, int],
    output_zero: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """A channel without weights is a constant: a bias of four times it, and a division by four, which rounds nothing.
    As quantised from training, its scale is next to none, its bias next to 2**30 and its shift near 31: more than the
    few instructions can do.
    """
    folded, multiplier, right = folded.copy(), multiplier.copy(), right.copy()
    for channel in np.flatnonzero(~rows.any(axis=1)):
        value = requantize(int(folded[channel]), int(multiplier[channel]), -int(right[channel])) + output_zero
        folded[channel] = 4 * (min(max(value, limits["activation_min"]), limits["activation_max"]) - output_zero)
        multiplier[channel], right[channel] = 1 << 30, 1
    return folded, multiplier, right
