"""Weights packed for the matrix kernels (firmware/kernels/matmul_s8.h): one stream of words, in the order in which they are used.

A group of output channels (2 for convolutions, 4 for FULLY_CONNECTED) is its doubled biases, its weights, and per pair of channels
... its multipliers and shifts. Four inputs k of two channels are two words, bytes a0 b0 a2 b2 and a1 b1 a3 b3: SXTB16 makes
a pair of inputs of each channel of one, as it makes them of four inputs side by side.
"""

from typing import Any

import numpy as np

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.requant import requant


def padded(size: int, multiple: int = 4) -> int:
    return -(-size // multiple) * multiple


def matmul(graph: Graph, op: Op, rows: np.ndarray, group: int) -> dict[str, Any] | None:
    """The fields of a ``matmul_s8`` struct. rows: int8 (channels, runs, run), each run padded to a multiple of 4 in the stream.

    None where ``requant`` proves nothing.
    """
    quant = requant(graph, op, graph.tensor(op.inputs[1]).data, 0)
    if quant is None:
        return None
    channels, runs, run = rows.shape
    count, depth = padded(channels, group), runs * padded(run)
    order = np.arange(channels)
    if group == 2:
        order[-1] = count - 1  # of an odd number, the last is the second of its pair
    weights = np.zeros((count, runs, padded(run)), np.int8)
    weights[order, :, :run] = rows
    # channel (group, pair, side), input (quad, high half, word) -> (group, quad, pair, word, high half, side)
    packed = weights.reshape(-1, group // 2, 2, depth // 4, 2, 2).transpose(0, 3, 1, 5, 4, 2)
    words = np.ascontiguousarray(packed).reshape(count // group, -1).view("<i4")
    table = np.zeros((count, 4), np.int32)
    table[order] = quant["channels"]
    bias, multiplier, _, right = table.reshape(-1, group, 4).transpose(2, 0, 1)
    shifts = (np.maximum(right, 1) - 1).astype(np.uint8)
    if group == 2:  # multiplier, shifts, multiplier
        footer = np.stack([multiplier[:, 0], shifts[:, 0] | shifts[:, 1].astype(np.int32) << 8, multiplier[:, 1]], 1)
    else:
        footer = np.concatenate([multiplier, shifts.view("<i4")], 1)
    stream = np.concatenate([bias, words, footer], 1).reshape(-1)
    zero_point = int(graph.tensor(op.outputs[0]).quantization.zero_point[0])
    return {
        "stream": stream.astype(np.int32),
        "words": len(stream),
        "depth": depth,
        "channels": channels,
        "rounding": 2 * zero_point + 1,
        "bounded": quant["bounded"],
        "activation_min": quant["activation_min"],
        "activation_max": quant["activation_max"],
    }
