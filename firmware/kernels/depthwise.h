/* SPDX-License-Identifier: Apache-2.0 */
/* What the planar depthwise kernels share: each gives depthwise_planes_s8 the function that computes one plane. */
#ifndef TINYFLOW_DEPTHWISE_H
#define TINYFLOW_DEPTHWISE_H

#include "kernels.h"

/* One channel of the input, padded, and where its output goes. Output (y, x), below (rows, columns), is at
 * to + y * to_row + x * to_column, and nothing else may be written. In the unrolled kernels its tap (i, j) is
 * from[(y + i) * row + x + j] (what is left of a dilated convolution are the pixels of one phase), and reads may go one row
 * and one column too far; so may those of weights, by a byte.
 * The output is requant_s8_shared(bias + 2 * sum, multiplier, zero, shift) with rounding = zero << shift.
 * The assembly knows the order of the first twelve. */
typedef struct {
  int32_t bias, row;
  const int8_t *weights; /* (filter_height, filter_width) */
  int32_t multiplier, rounding;
  uint32_t shift;
  int32_t to_row, to_column;
  const int8_t *from;
  int8_t *to;
  int32_t rows, columns;
  const depthwise_planar_s8_params *params;
} depthwise_plane;

typedef void depthwise_plane_function(const depthwise_plane *plane);

/* Copies each plane into scratch between its padding and has ``function`` compute the output. */
void depthwise_planes_s8(const depthwise_planar_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch,
                         depthwise_plane_function *function);

static inline int8_t depthwise_output(int32_t doubled, int32_t multiplier, int32_t rounding, uint32_t shift) {
  const int32_t value = smmlar((uint32_t)doubled, (uint32_t)multiplier, rounding + (doubled >> 31));
  return (int8_t)ssat8_half(value >> shift);
}

/* The unrolled kernels in C99, for machines without DSP instructions. */
static inline void depthwise_plane_plain(const depthwise_plane *plane, int32_t height, int32_t width) {
  for (int32_t y = 0; y < plane->rows; y++) {
    for (int32_t x = 0; x < plane->columns; x++) {
      const int8_t *from = plane->from + y * plane->row + x, *weights = plane->weights;
      int32_t sum = 0;
      for (int32_t i = 0; i < height; i++, from += plane->row) {
        for (int32_t j = 0; j < width; j++) sum += *weights++ * from[j];
      }
      int8_t *to = plane->to + y * plane->to_row + x * plane->to_column;
      *to = depthwise_output(2 * sum + plane->bias, plane->multiplier, plane->rounding, plane->shift);
    }
  }
}

#if TINYFLOW_DSP

/* A word of four pixels as pixels (0, 2) and (1, 3). */
#define DEPTHWISE_SPLIT(even, odd)             \
  "sxtb16 " odd ", " even ", ror #8\n"         \
  "sxtb16 " even ", " even "\n"

/* requant_s8_shared with the multiplier in r6, rounding in r7, shift in r1; r2 is free. */
#define DEPTHWISE_REQUANT(sum)                 \
  "add r2, r7, " sum ", asr #31\n"             \
  "smmlar " sum ", " sum ", r6, r2\n"          \
  "asr " sum ", " sum ", r1\n"                 \
  "ssat " sum ", #8, " sum ", asr #1\n"

#endif

#endif
