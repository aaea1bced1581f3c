/* SPDX-License-Identifier: Apache-2.0 */
#include "fixedpoint.h"
#include "kernels.h"

/* Fixed point after gemmlowp: Qm.n is m integer and n fraction bits, 31 in all. */
#define DIFFERENCE_INTEGER_BITS 5
#define SUM_INTEGER_BITS 12

static int32_t saturating_shift_left(int32_t value, int32_t left) {
  return value > INT32_MAX >> left ? INT32_MAX : value < INT32_MIN >> left ? INT32_MIN : shift_left(value, left);
}

/* exp on [-1/4, 0), Q0.31 to Q0.31: fourth-order Taylor series about -1/8. */
static int32_t exp_on_quarter(int32_t a) {
  const int32_t exp_of_minus_eighth = 1895147668, third = 715827883;
  const int32_t x = a + ((int32_t)1 << 28);
  const int32_t x2 = doubling_high_mul(x, x);
  const int32_t x3 = doubling_high_mul(x2, x);
  const int32_t x4_over_4 = rounding_divide(doubling_high_mul(x2, x2), 2);
  const int32_t tail = rounding_divide(doubling_high_mul(x4_over_4 + x3, third) + x2, 1);
  return exp_of_minus_eighth + doubling_high_mul(exp_of_minus_eighth, x + tail);
}

/* exp(x) in Q0.31 for x <= 0 in Q5.26: the part within a quarter, times exp(-2^k) for each set bit of the rest. */
static int32_t exp_on_negative(int32_t x) {
  static const int32_t exp_of_minus_power[7] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
  const int32_t fraction_bits = 31 - DIFFERENCE_INTEGER_BITS;
  const int32_t quarter = (int32_t)1 << (fraction_bits - 2);
  if (x == 0) return INT32_MAX;
  const int32_t part = (x & (quarter - 1)) - quarter;
  const int32_t rest = part - x;
  int32_t result = exp_on_quarter(saturating_shift_left(part, DIFFERENCE_INTEGER_BITS));
  for (int32_t k = 0; k < 7; k++) {
    if (rest & ((int32_t)1 << (fraction_bits - 2 + k))) result = doubling_high_mul(result, exp_of_minus_power[k]);
  }
  return result;
}

/* 1 / (1 + x) in Q0.31 for x in [0, 1): three Newton steps in Q2.29. */
static int32_t reciprocal_one_plus(int32_t x) {
  const int32_t half_denominator = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
  int32_t estimate = 1515870810 + doubling_high_mul(half_denominator, -1010580540); /* 48/17 - 32/17 d */
  for (int i = 0; i < 3; i++) {
    const int32_t error = ((int32_t)1 << 29) - doubling_high_mul(half_denominator, estimate);
    estimate += saturating_shift_left(doubling_high_mul(estimate, error), 2);
  }
  return saturating_shift_left(estimate, 1);
}

static int32_t leading_zeros(uint32_t value) {
  int32_t count = 0;
  while (count < 32 && !(value & 0x80000000u)) {
    value <<= 1;
    count++;
  }
  return count;
}

static int32_t scaled_exp(const softmax_s8_params *p, int32_t difference) {
  return exp_on_negative(doubling_high_mul(shift_left(difference, p->input_left_shift), p->input_multiplier));
}

void softmax_s8(const softmax_s8_params *p, const int8_t *input, int8_t *output) {
  for (int32_t row = 0; row < p->rows; row++, input += p->depth, output += p->depth) {
    int32_t largest = INT8_MIN;
    for (int32_t c = 0; c < p->depth; c++) {
      if (input[c] > largest) largest = input[c];
    }
    int32_t sum = 0; /* Q12.19 */
    for (int32_t c = 0; c < p->depth; c++) {
      const int32_t difference = input[c] - largest;
      if (difference >= p->difference_min) sum += rounding_divide(scaled_exp(p, difference), SUM_INTEGER_BITS);
    }
    /* 1/sum: shift sum into [1, 2), keep the fraction, remember the shift. */
    const int32_t headroom = leading_zeros((uint32_t)sum);
    const int32_t fraction = (int32_t)(((uint32_t)sum << headroom) - 0x80000000u);
    const int32_t scale = reciprocal_one_plus(fraction);
    const int32_t exponent = SUM_INTEGER_BITS - headroom + 31 - 8;

    for (int32_t c = 0; c < p->depth; c++) {
      const int32_t difference = input[c] - largest;
      int32_t value = INT8_MIN;
      if (difference >= p->difference_min) {
        value += rounding_divide(doubling_high_mul(scale, scaled_exp(p, difference)), exponent);
      }
      output[c] = (int8_t)clamp_s32(value, INT8_MIN, INT8_MAX);
    }
  }
}
