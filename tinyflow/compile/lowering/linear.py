"""Sums of scaled int8 values with one rounding (firmware/kernels/linear.h), where they equal TFLM's for every value.

TFLM rounds three times in an ADD. What it computes is linear all the same, up to a few in 2**20 of an output step, so
one rounding of a sum with a well-chosen bias gives the same answer, unless some pair of values comes to lie closer to a
tie than that.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SHIFT = 21  # LINEAR_SHIFT of firmware/kernels/linear.h
FRACTION = 8  # bits of a product that the kernel drops
VALUES = np.arange(-128, 128)
NUDGES = (0, 3, -3)  # of the weights, where the nearest ones do not do


def linear(expected: NDArray[np.int64], factors: Sequence[float]) -> tuple[list[int], int] | None:
    """(weights, bias) such that clamp((sum of (weight * value >> FRACTION) + bias) >> SHIFT) is ``expected`` for every
    combination of int8 values, clamped to the least and greatest of it; None where there are none. expected: one axis
    of 256 for each of ``factors``.
    """
    low, high = int(expected.min()), int(expected.max())
    for nudges in itertools.product(NUDGES, repeat=len(factors)):
        weights = [round(factor * (1 << (SHIFT + FRACTION))) + nudge for factor, nudge in zip(factors, nudges)]
        if max(map(abs, weights)) >= 1 << 31:
            return None
        terms = [weight * VALUES >> FRACTION for weight in weights]
        total = sum(np.ix_(*terms))
        # Each combination that is not clamped allows biases from one bound to another.
        least = np.where(expected > low, (expected << SHIFT) - total, -(1 << 40)).max()
        greatest = np.where(expected < high, (expected + 1 << SHIFT) - total - 1, 1 << 40).min()
        bias = int(np.clip((least + greatest) // 2, -(1 << 31), (1 << 31) - 1))
        if least <= bias <= greatest and abs(bias) + sum(int(np.abs(term).max()) for term in terms) < 1 << 31:
            return weights, bias
    return None
