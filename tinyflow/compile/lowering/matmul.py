"""Weights packed for the matrix kernels (firmware/kernels/matmul_s8.h): one stream of words, in the order in which they
are used.

A group of output channels (2 for convolutions, 4 for FULLY_CONNECTED) is its biases, its weights, its multipliers and
shifts. Four inputs k of a pair of channels a and b are two words, the halves of one for k0 and k2, of the other for k1
and k3, as SXTB16 splits four inputs. A half is 256 b + a (fused): multiplied by an input it adds to both channels' sums
at once, and only a need be split off. Where b's sums may leave 24 bits, a half is the bytes a and b.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.requant import requant

# group -> field and name of its inner kernel
KERNELS = {
    2: ("pairs", "matmul_s8_pairs"),
    4: ("sums", "fully_connected_packed_s8_sums"),
}


def padded(size: int, multiple: int = 4) -> int:
    return -(-size // multiple) * multiple


def matmul(graph: Graph, op: Op, rows: NDArray[np.int8], group: int) -> dict[str, Any] | None:
    """The fields of a ``matmul_s8`` struct and the name of its inner kernel; None where ``requant`` proves nothing.

    rows: int8 (channels, runs, run), each run padded to a multiple of 4 in the stream.
    """
    quant = requant(graph, op, graph.tensor(op.inputs[1]).values, 0)
    if quant is None:
        return None
    channels, runs, run = rows.shape
    count, depth = padded(channels, group), runs * padded(run)
    order = np.arange(channels)
    if group == 2:
        order[-1] = count - 1  # of an odd number, the last is the second of its pair
    weights = np.zeros((count, runs, padded(run)), np.int64)
    weights[order, :, :run] = rows
    weights = weights.reshape(-1, 2, depth)
    table = np.zeros((count, 4), np.int64)
    table[order] = quant["channels"]
    bias = (table[:, 0] // 2).reshape(-1, 2)
    fused = _fused(weights, bias)
    if fused:
        weights[:, 1] -= weights[:, 0] < 0
        bias[:, 1] = 256 * bias[:, 1] + bias[:, 0]
    # (group, pair, side, quad, high half, word) -> (group, quad, pair, word, high half, side)
    packed = weights.reshape(-1, group // 2, 2, depth // 4, 2, 2).transpose(0, 3, 1, 5, 4, 2)
    words = packed.astype(np.int8).reshape(count // group, -1).view("<i4")
    multiplier = table[:, 1].reshape(-1, group)
    shifts = np.maximum(table[:, 3] - 1, 0).reshape(-1, group) << np.arange(group) * 8
    shifts = shifts.sum(1, keepdims=True)
    footer = [multiplier[:, :1], shifts, multiplier[:, 1:]] if group == 2 else [multiplier, shifts]
    stream = np.concatenate([bias.reshape(-1, group), words, *footer], 1).reshape(-1)
    field, kernel = KERNELS[group]
    if not fused:
        kernel += "_wide"
    elif group == 2 and not quant["signed_ties"]:
        kernel += "_plain"
    zero_point = int(graph.tensor(op.outputs[0]).affine.zero_point[0])
    product = {
        "stream": stream.astype(np.uint32).view(np.int32),
        "words": len(stream),
        "depth": depth,
        "channels": channels,
        "rounding": 2 * zero_point + 1,
        "bounded": quant["bounded"],
        "activation_min": quant["activation_min"],
        "activation_max": quant["activation_max"],
    }
    return {"matmul": product, field: kernel}


def _fused(weights: NDArray[np.int64], bias: NDArray[np.int64]) -> bool:
    """Whether each pair of (pairs, 2, depth) fuses: its second channel stays within a byte and its
    sums within 24 bits.
    """
    reach = np.abs(bias[:, 1]) + 128 * np.abs(weights[:, 1]).sum(1)
    return bool((reach < (1 << 23)).all() and (weights[:, 1] - (weights[:, 0] < 0) >= -128).all())
