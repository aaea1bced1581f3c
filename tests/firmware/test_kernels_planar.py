"""Pools and means of planes against tflite_micro, bit for bit, and the division that average pools multiply by."""

import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from bit_exact import assert_bit_exact, assert_bit_exact_on, compile_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from planar_networks import Planes

from tinyflow.compile.operators.pooling import LARGEST_WINDOW

pytest.importorskip("tflite_micro", reason="needs the tflite-micro wheel: make setup")

CASES = settings(max_examples=15, derandomize=True, deadline=None, database=None)
SIDE, STEP = st.integers(1, 14), st.integers(1, 4)
ACTIVATION = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])


def called(network: Planes) -> list[str]:
    """The kernels that the C of a network calls, in order."""
    with tempfile.TemporaryDirectory() as folder:
        model = compile_bytes(network.finish(), Path(folder))
        return re.findall(r"^  (\w+_s8)\(", (model.c / "model.c").read_text(), re.MULTILINE)


@pytest.mark.parametrize("kind", ["AVERAGE", "MAX"])
@given(
    st.tuples(SIDE, SIDE),
    st.integers(1, 5),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(STEP, STEP),
    st.booleans(),
    ACTIVATION,
    st.integers(-128, 127),
    st.integers(0, 2**32 - 1),
)
@CASES
def test_pool_of_planes(kind, size, channels, window, stride, same, activation, zero, seed):
    if not same:
        size = tuple(s + w - 1 for s, w in zip(size, window))
    n = Planes((*size, channels), seed=seed)
    n.depthwise((3, 3), zero=zero)
    n.pool(kind, window, stride, same, activation)
    n.depthwise((3, 3))
    assert_bit_exact(n.finish(), seed=seed)


@pytest.mark.parametrize("planes", [True, False])
@pytest.mark.parametrize("kind", ["MEAN", "AVERAGE"])
@pytest.mark.parametrize("shape", [(25, 5, 6), (40, 29, 3), (1, 3, 9), (16, 16, 4), (33, 8, 5)])
def test_means_of_all_pixels(kind, shape, planes):
    n = Planes(shape, seed=shape[0])
    if planes:
        n.depthwise((3, 3))
    if kind == "MEAN":
        n.mean()
    else:
        n.pool("AVERAGE", shape[:2], same=False)
    model = assert_bit_exact(n.finish(), x=np.random.default_rng(1).choice([-128, 127, 5], (6, *shape)).astype(np.int8))
    assert "global_mean_s8" in called(n) and model.layers[-1].kind.startswith(kind)


def test_planes_stay_planes_through_pools():
    n = Planes((9, 7, 4))
    n.depthwise((3, 3))
    n.pool("MAX", (3, 3))
    n.pool("AVERAGE", (3, 3), (2, 2), activation="RELU6")
    n.depthwise((3, 3))
    kernels = [kernel for kernel in called(n) if "pool" in kernel]
    assert kernels == ["max_pool_planar_s8", "average_pool_planar_s8"]


def test_a_reciprocal_divides_every_sum_of_every_window():
    """average.h: start, tie and reciprocal against C's division, half away from zero."""
    for count in range(1, LARGEST_WINDOW + 1):
        sums = np.arange(-128 * count, 127 * count + 1, dtype=np.int64)
        tie = 128 * count + count // 2
        shifted = sums + tie
        shifted -= shifted < (0 if count % 2 else tie)
        product = shifted * ((1 << 23) // count + 1)
        assert shifted.min() >= 0 and product.max() < 1 << 32
        magnitude = (np.abs(sums) + count // 2) // count
        np.testing.assert_array_equal((product >> 23) - 128, np.sign(sums) * magnitude)


@pytest.mark.qemu
def test_pools_on_the_emulated_board(tmp_path):
    """One image whose map shrinks over even and odd sizes: (25, 10), (13, 5), (13, 2), (7, 1)."""
    n = Planes((25, 10, 5))
    n.depthwise((3, 3))
    for last in ((2, 2), (1, 3), (2, 2), (1, 1)):
        for kind in ("MAX", "AVERAGE"):
            for window in ((3, 3), (2, 3)):
                n.pool(kind, window)
                n.depthwise((3, 3))
        n.pool("MAX" if last == (2, 2) else "AVERAGE", (3, 3) if last[0] == 2 else (2, 2), last)
        n.depthwise((3, 3))
    assert n.shape[:2] == (7, 1)
    n.mean()
    assert_bit_exact_on("mps2-an386", n.finish(), tmp_path)
