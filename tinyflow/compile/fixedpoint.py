"""Integer arithmetic of quantised inference, as TFLM's reference kernels define it (double rounding).

Multipliers are made in double arithmetic from the float32 scales; applying one is
``rounding_divide(saturating_doubling_high_mul(x << left, multiplier), right)``. Activations of one int8
variable are evaluated here for all 256 inputs, so that the device only looks them up.
Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference" (CVPR 2018), section 2.2 and appendix B; fixed-point functions after the gemmlowp library.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.int8]  # (256,): of a function of one int8, for -128 to 127

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1
INT16_MIN, INT16_MAX = -(1 << 15), (1 << 15) - 1


def clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def wrap32(value: int) -> int:
    """Two's complement: what 32-bit hardware keeps."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def round_half_away(value: float) -> int:
    """C's round(): half away from zero."""
    whole = math.trunc(value)
    rest = value - whole
    return whole + (1 if rest >= 0.5 else -1 if rest <= -0.5 else 0)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """(multiplier, shift) with real = multiplier * 2**(shift - 31), multiplier in [2**30, 2**31), or (0, 0).

    >>> quantize_multiplier(0.75)
    (1610612736, 0)
    >>> quantize_multiplier(1.0)
    (1073741824, 1)
    """
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = round_half_away(fraction * (1 << 31))
    if multiplier == 1 << 31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    return multiplier, shift


def saturating_doubling_high_mul(a: int, b: int, bits: int = 32) -> int:
    """High half of 2ab to nearest, a half going up; saturates where both are the least integer."""
    if a == b == -(1 << (bits - 1)):
        return (1 << (bits - 1)) - 1
    product = a * b
    nudge = 1 << (bits - 2)
    value = product + (nudge if product >= 0 else 1 - nudge)
    return abs(value) // (1 << (bits - 1)) * (1 if value >= 0 else -1)


def rounding_divide(value: int, exponent: int) -> int:
    """value / 2**exponent, half away from zero."""
    mask = (1 << exponent) - 1
    return (value >> exponent) + ((value & mask) > (mask >> 1) + (value < 0))


def requantize(value: int, multiplier: int, shift: int) -> int:
    """value * multiplier * 2**(shift - 31) with TFLM's double rounding."""
    left, right = max(shift, 0), max(-shift, 0)
    return rounding_divide(saturating_doubling_high_mul(wrap32(value << left), multiplier), right)


def requantize_all(values: NDArray[Any], multiplier: int, shift: int) -> NDArray[np.int64]:
    """``requantize`` of every element of an integer array."""
    left, right = max(shift, 0), max(-shift, 0)
    shifted = (values.astype(np.int64) * (1 << left) + (1 << 31)) % (1 << 32) - (1 << 31)
    high = (shifted * multiplier + (1 << 30)) >> 31
    return (high - (high < 0) + (1 << right >> 1)) >> right if right else high


def saturating_shift(value: int, left: int, bits: int = 32) -> int:
    return clamp(value << left, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def exp_on_negative(value: int, integer_bits: int) -> int:
    """exp(x) in Q0.31 for x <= 0 given in Q<integer_bits>: a Taylor step on [-1/4, 0) and a barrel of constants."""
    if value == 0:
        return INT32_MAX
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    part = (value & (quarter - 1)) - quarter
    result = _exp_on_quarter(saturating_shift(part, integer_bits))
    rest = part - value
    for exponent, factor in enumerate((1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242), start=-2):
        if integer_bits > exponent and rest & (1 << (fraction_bits + exponent)):
            result = saturating_doubling_high_mul(result, factor)
    return result


def _exp_on_quarter(a: int) -> int:
    """exp on [-1/4, 0) in Q0.31: fourth-order Taylor series about -1/8."""
    mul = saturating_doubling_high_mul
    x = a + (1 << 28)
    x2 = mul(x, x)
    x4_over_4 = rounding_divide(mul(x2, x2), 2)
    tail = rounding_divide(mul(x4_over_4 + mul(x2, x), 715827883) + x2, 1)
    return 1895147668 + mul(1895147668, x + tail)


def reciprocal_one_plus(x: int) -> int:
    """1 / (1 + x) in Q0.31 for x in [0, 1) in Q0.31."""
    return saturating_shift(_twice_reciprocal_one_plus(x), 1)


def _twice_reciprocal_one_plus(x: int) -> int:
    """2 / (1 + x) in Q2.29 for x in [0, 1) in Q0.31: three Newton steps."""
    mul = saturating_doubling_high_mul
    half_denominator = (x + INT32_MAX + 1) // 2
    estimate = 1515870810 + mul(half_denominator, -1010580540)
    for _ in range(3):
        error = (1 << 29) - mul(half_denominator, estimate)
        estimate += saturating_shift(mul(estimate, error), 2)
    return estimate


def logistic_q31(value: int) -> int:
    """1 / (1 + exp(-x)) in Q0.31 for x in Q4.27."""
    if value == 0:
        return 1 << 30
    positive = reciprocal_one_plus(exp_on_negative(-abs(value), 4))
    return positive if value > 0 else INT32_MAX - positive


def tanh_q31(value: int) -> int:
    """tanh(x) in Q0.31 for x in Q4.27: (1 - e) / (1 + e) of e = exp(-2 |x|), with the sign of x."""
    if value == 0:
        return 0
    positive = saturating_shift(_twice_reciprocal_one_plus(exp_on_negative(-abs(value), 5)) - (1 << 29), 2)
    return positive if value > 0 else -positive


def table(function: Callable[[int], int]) -> Table:
    """int8 (256,): function(q) for q from -128 to 127."""
    return np.array([function(q) for q in range(-128, 128)], np.int8)


def input_radius(integer_bits: int, left_shift: int) -> int:
    """Largest |input difference| that does not overflow Q<integer_bits> after the shift."""
    return math.floor(((1 << integer_bits) - 1) * (1 << (31 - integer_bits)) / (1 << left_shift))


def logistic_table(scale: np.float32, zero_point: int) -> Table:
    """LOGISTIC of one int8 (output scale 1/256, zero point -128)."""
    return _squashed(scale, zero_point, lambda x: rounding_divide(logistic_q31(x), 23) - 128)


def tanh_table(scale: np.float32, zero_point: int) -> Table:
    """TANH of one int8 (output scale 1/128, zero point 0)."""
    return _squashed(scale, zero_point, lambda x: rounding_divide(tanh_q31(x), 24))


def _squashed(scale: np.float32, zero_point: int, function: Callable[[int], int]) -> Table:
    """``function`` of one int8 brought to Q4.27; where that would overflow, the least and the greatest int8."""
    fraction, shift = math.frexp(float(scale) * (1 << 27))
    multiplier = round_half_away(fraction * (1 << 31))
    radius = input_radius(4, shift) if shift >= 0 else INT32_MAX

    def entry(q: int) -> int:
        x = q - zero_point
        if x <= -radius:
            return -128
        if x >= radius:
            return 127
        return clamp(function(requantize(x, multiplier, shift)), -128, 127)

    return table(entry)


def hard_swish_multipliers(input_scale: np.float32, output_scale: np.float32) -> tuple[int, int, int, int]:
    """(output multiplier int16, its exponent, reluish multiplier int16, its exponent)."""

    def narrow(multiplier: int) -> int:
        return INT16_MAX if multiplier >= INT32_MAX - (1 << 15) else (multiplier + (1 << 15)) >> 16

    fine = float(input_scale) / 128
    output, output_exponent = quantize_multiplier(fine / float(output_scale))
    reluish, reluish_exponent = quantize_multiplier(fine / (3 / 32768))
    return narrow(output), output_exponent, narrow(reluish), reluish_exponent


def hard_swish_table(
    input_scale: np.float32, input_zero_point: int, output_scale: np.float32, output_zero_point: int
) -> Table:
    """HARD_SWISH, x * relu6(x + 3) / 6, of one int8: 16-bit fixed point with the saturations of the definition."""
    output, output_exponent, reluish, reluish_exponent = hard_swish_multipliers(input_scale, output_scale)

    def entry(q: int) -> int:
        fine = (q - input_zero_point) << 7
        fine = (fine + (1 << 15)) % (1 << 16) - (1 << 15)
        unshifted = saturating_doubling_high_mul(fine, output, 16)
        gate = fine
        if reluish_exponent > 0:
            gate = saturating_shift(gate, reluish_exponent - 1, 16)
        gate = saturating_doubling_high_mul(gate, reluish, 16)
        if reluish_exponent > 0:
            gate = saturating_shift(gate, 1, 16)
        if reluish_exponent < 0:
            gate = rounding_divide(gate, -reluish_exponent)
        gate = (gate + (1 << 15)) >> 1
        product = gate * unshifted
        high = abs(product) // (1 << 15) * (1 if product >= 0 else -1)  # truncates: cancels the rounding bias above
        return clamp(rounding_divide(high, -output_exponent) + output_zero_point, -128, 127)

    return table(entry)
