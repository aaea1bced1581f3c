"""Fixed-point arithmetic against exact rational arithmetic and math.h."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyflow.compile import fixedpoint as fp

CASES = settings(max_examples=300, derandomize=True, deadline=None, database=None)
INT32 = st.integers(fp.INT32_MIN, fp.INT32_MAX)


def half_away(value: Fraction) -> int:
    whole = math.floor(abs(value) + Fraction(1, 2))
    return whole if value >= 0 else -whole


@given(st.floats(1e-9, 1e6))
@CASES
def test_a_multiplier_has_31_bits(real):
    multiplier, shift = fp.quantize_multiplier(real)
    assert 1 << 30 <= multiplier <= (1 << 31) - 1
    assert abs(Fraction(multiplier) * Fraction(2) ** (shift - 31) / Fraction(real) - 1) <= Fraction(1, 1 << 31)


def test_multipliers_at_the_edges():
    assert fp.quantize_multiplier(0.0) == (0, 0)
    assert fp.quantize_multiplier(2.0**-40) == (0, 0), "too small for any right shift"
    assert fp.quantize_multiplier(math.nextafter(1.0, 0.0)) == (1 << 30, 1), "rounds up to a power of two"


@given(INT32, INT32)
@CASES
def test_high_mul_is_the_rounded_half_product(a, b):
    exact = Fraction(a * b, 1 << 31)
    got = fp.saturating_doubling_high_mul(a, b)
    if a == b == fp.INT32_MIN:
        assert got == fp.INT32_MAX
    elif exact.denominator == 2 and exact < 0:
        assert got == math.floor(exact) + 1, "a negative half goes up: the nudge is 1 - 2**30"
    else:
        assert got == half_away(exact)


@given(INT32, st.integers(0, 31))
@CASES
def test_rounding_divide_is_half_away_from_zero(value, exponent):
    assert fp.rounding_divide(value, exponent) == half_away(Fraction(value, 1 << exponent))


@given(st.integers(-(1 << 24), 1 << 24), st.floats(1e-6, 30.0))
@CASES
def test_requantize_is_off_by_at_most_one(value, real):
    exact = Fraction(value) * Fraction(real)
    assert abs(fp.requantize(value, *fp.quantize_multiplier(real)) - exact) <= 1 + abs(exact) / (1 << 30)


def test_exponential_reciprocal_logistic_and_tanh_are_what_they_say():
    for x in np.linspace(-15.9, 0, 500):
        raw = int(x * (1 << 26))
        assert abs(fp.exp_on_negative(raw, 5) / 2**31 - math.exp(raw / 2**26)) < 1e-6
    for x in np.linspace(0, 0.999, 200):
        raw = int(x * (1 << 31))
        assert abs(fp.reciprocal_one_plus(raw) / 2**31 - 1 / (1 + raw / 2**31)) < 1e-7
    for x in np.linspace(-15.9, 15.9, 200):
        raw = int(x * (1 << 27))
        assert abs(fp.logistic_q31(raw) / 2**31 - 1 / (1 + math.exp(-raw / 2**27))) < 1e-6
        assert abs(fp.tanh_q31(raw) / 2**31 - math.tanh(raw / 2**27)) < 1e-6
    assert fp.tanh_q31(0) == 0


def test_tables_are_the_functions_they_tabulate():
    q = np.arange(-128, 128)
    x = 0.05 * (q - 3)
    wanted = np.clip(np.round(256 / (1 + np.exp(-x))) - 128, -128, 127)
    assert np.abs(fp.logistic_table(np.float32(0.05), 3) - wanted).max() <= 1
    wanted = np.clip(np.round(x * np.clip(x + 3, 0, 6) / 6 / 0.04) - 60, -128, 127)
    assert np.abs(fp.hard_swish_table(np.float32(0.05), 3, np.float32(0.04), -60) - wanted).max() <= 1
