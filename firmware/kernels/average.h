/* SPDX-License-Identifier: Apache-2.0 */
/* The mean of up to AVERAGE_LARGEST int8 without a division, half away from zero. */
#ifndef TINYFLOW_AVERAGE_H
#define TINYFLOW_AVERAGE_H

#include <stdint.h>

#define AVERAGE_LARGEST 180

/* (sum + start - (it is below tie)) * reciprocal >> 23, less 128: start makes it positive and adds a half, and only an
 * even number of values has halves to round away from zero. Exact for every sum: tests/firmware/test_kernels_planar.py
 * tries all. */
typedef struct {
  int32_t start, tie;
  uint32_t reciprocal;
} average;

/* Of `count` values, all but `inside` of which are `padding` and not in the sums. */
static inline average average_of(int32_t count, int32_t inside, int32_t padding) {
  const int32_t tie = 128 * count + count / 2;
  return (average){
      .start = tie + (count - inside) * padding,
      .tie = count % 2 ? 0 : tie,
      .reciprocal = count > 0 ? ((uint32_t)1 << 23) / (uint32_t)count + 1 : 0,
  };
}

static inline int8_t average_value(const average *a, int32_t sum) {
  sum += a->start;
  if (sum < a->tie) sum--;
  return (int8_t)((int32_t)((uint32_t)sum * a->reciprocal >> 23) - 128);
}

#endif
