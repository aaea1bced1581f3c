/* SPDX-License-Identifier: Apache-2.0 */
/* Linear functions of int8 values with one rounding: (weight * value / 256 + ... + bias) >> LINEAR_SHIFT, saturated.
 *
 * tinyflow/compile/lowering/linear.py finds the weights and the bias, and uses them only where the result is TFLM's for
 * every value, or pair of values, and no sum leaves int32. A byte in the upper part of a half makes SMLAW keep 30 bits
 * of the product. */
#ifndef TINYFLOW_LINEAR_H
#define TINYFLOW_LINEAR_H

#include "dsp.h"

#define LINEAR_SHIFT 21

/* A register that ANDs with a shifted operand in one instruction: as a constant it would take two. */
static inline uint32_t linear_mask(void) {
  uint32_t mask = 0xff00ff00u;
#if TINYFLOW_DSP
  __asm__("" : "+r"(mask));
#endif
  return mask;
}

/* Bytes 0 and 2, and bytes 1 and 3, times 256 in the halves of a word. */
static inline uint32_t linear_even(uint32_t word, uint32_t mask) { return mask & (word << 8); }
static inline uint32_t linear_odd(uint32_t word, uint32_t mask) { return mask & word; }

static inline int32_t linear_s8(int32_t sum) {
#if TINYFLOW_DSP
  int32_t result;
  __asm__("ssat %0, #8, %1, asr %2" : "=r"(result) : "r"(sum), "I"(LINEAR_SHIFT));
  return result;
#else
  return ssat8(sum >> LINEAR_SHIFT);
#endif
}

/* The results of four sums as bytes, the first in the lowest. */
static inline uint32_t linear_word(int32_t sum0, int32_t sum1, int32_t sum2, int32_t sum3) {
  uint32_t word = insert_byte1((uint32_t)linear_s8(sum0), linear_s8(sum1));
  word = insert_byte2(word, linear_s8(sum2));
  return insert_byte3(word, linear_s8(sum3));
}

#endif
