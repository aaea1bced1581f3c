"""Scaling and quantising as one multiply-add; the parity comparison."""

import numpy as np
import pytest

from tinyflow.errors import TinyflowError
from tinyflow.frontend.parity import Parity, compare
from tinyflow.frontend.quantize import FeatureQuantization
from tinyflow.frontend.scaler import Scaler

ONES = np.ones(3, np.float32)


def test_is_scaling_then_quantising():
    rng = np.random.default_rng(0)
    mfcc = (rng.normal(size=(500, 40)) * 10 - 30).astype(np.float32)
    scaler, scale, zero_point = Scaler.fit([mfcc]), 0.035, -7
    q = FeatureQuantization.of(scaler, scale, zero_point).quantize(mfcc)
    exact = (mfcc.astype(np.float64) - scaler.mean) / scaler.std / scale + zero_point
    assert q.dtype == np.int8
    assert np.abs(q - np.clip(exact, -128, 127)).max() < 0.5001


def test_rounds_half_to_even_and_clamps():
    quantization = FeatureQuantization(ONES[:1], np.zeros(1, np.float32))
    values = np.array([-1e9, -128.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 126.5, 127.5, 1e9], np.float32)[:, None]
    assert quantization.quantize(values)[:, 0].tolist() == [-128, -128, -2, -2, 0, 0, 2, 2, 126, 127, 127]


def test_product_and_sum_are_rounded_apart():
    """(1 + 2^-12)^2 - (0.5 + 2^-11): fused, the product's 2^-24 lifts the sum over the tie at 0.5."""
    a = np.float32(1 + 2.0**-12)
    quantization = FeatureQuantization(np.array([a]), np.array([-(0.5 + 2.0**-11)], np.float32))
    assert quantization.quantize(np.array([a]))[0] == 0


@pytest.mark.parametrize("scale, zero_point", [(0.0, 0), (-1.0, 0), (float("nan"), 0), (0.1, 128), (0.1, -129)])
def test_refuses(scale, zero_point):
    with pytest.raises(TinyflowError, match="zero point"):
        FeatureQuantization.of(Scaler(ONES, ONES), scale, zero_point)


def test_parity_counts():
    c = np.zeros((10, 1000), np.int8)
    torch = c.copy()
    assert compare(c, torch) == Parity(10000, 0, 0) and compare(c, torch).passed
    torch[0, :10] = 1
    assert compare(c, torch) == Parity(10000, 10, 1) and compare(c, torch).passed
    torch[0, 10] = -1
    assert not compare(c, torch).passed  # 11 of 10000: more than 0.1 %
    c[0, 0], torch[0] = 127, 0
    torch[0, 0] = -128
    assert compare(c, torch).largest_lsb == 255 and not compare(c, torch).passed


@pytest.mark.parametrize("other", [np.zeros((2, 3), np.int8), np.zeros((3, 2), np.float32)])
def test_parity_refuses_what_cannot_be_compared(other):
    with pytest.raises(TinyflowError, match="parity"):
        compare(np.zeros((3, 2), np.int8), other)
