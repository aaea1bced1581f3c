/* SPDX-License-Identifier: Apache-2.0 */
/* Requantisation with TFLM's double rounding; tinyflow/compile/fixedpoint.py is the same in Python. */
#ifndef TINYFLOW_FIXEDPOINT_H
#define TINYFLOW_FIXEDPOINT_H

#include <stdint.h>

static inline int32_t clamp_s32(int32_t value, int32_t low, int32_t high) {
  return value < low ? low : value > high ? high : value;
}

/* High word of 2ab to nearest, a half going up (what TFLM's nudges and its division towards zero come to); saturates
 * where both are INT32_MIN. `>>` of a negative number is arithmetic on every compiler this is for. */
static inline int32_t doubling_high_mul(int32_t a, int32_t b) {
  if (a == INT32_MIN && b == INT32_MIN) return INT32_MAX;
  return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* value / 2^exponent, half away from zero; 0 <= exponent <= 31. */
static inline int32_t rounding_divide(int32_t value, int32_t exponent) {
  const int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1);
  const int32_t threshold = (mask >> 1) + (value < 0);
  return (value >> exponent) + ((value & mask) > threshold);
}

/* Wraps like 32-bit hardware; a signed shift would be undefined. */
static inline int32_t shift_left(int32_t value, int32_t left) { return (int32_t)((uint32_t)value << left); }

/* value * multiplier * 2^(shift - 31). */
static inline int32_t requantize(int32_t value, int32_t multiplier, int32_t shift) {
  const int32_t left = shift > 0 ? shift : 0;
  const int32_t right = shift > 0 ? 0 : -shift;
  return rounding_divide(doubling_high_mul(shift_left(value, left), multiplier), right);
}

#endif
