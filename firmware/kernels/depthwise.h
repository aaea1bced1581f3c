/* SPDX-License-Identifier: Apache-2.0 */
/* What the planar depthwise kernels share: each gives depthwise_planes_s8 the function that computes one plane. */
#ifndef TINYFLOW_DEPTHWISE_H
#define TINYFLOW_DEPTHWISE_H

#include "kernels.h"

/* One channel, padded; of a dilated convolution the pixels of one phase, so that its taps lie side by side.
 *
 * Output (y, x) is at to + y * to_row + x * to_column. Its tap (i, j) reads
 * from[(y * stride_h + i) * row + x * stride_w + j], with the strides that are left (stride 1 where it equals the dilation).
 * Reads may go one row of outputs and three bytes beyond the padded plane; writes stay within the output.
 * weights: int16, doubled; for each row of the filter and each four taps, taps (0, 2) in one word and (1, 3) in the next,
 * zeros after the last tap. channel: the row of p->requant for this channel. */
typedef struct {
  const int8_t *from;
  int32_t row, rows, columns;
  int8_t *to;
  int32_t to_row, to_column;
  const uint32_t *weights;
  const int32_t *channel;
} depthwise_plane;

typedef void depthwise_plane_function(const depthwise_planar_s8_params *p, const depthwise_plane *plane);

/* All channels: copies each plane into scratch between its padding and has ``function`` compute the output. */
void depthwise_planes_s8(const depthwise_planar_s8_params *p, const int8_t *input, int8_t *output, void *scratch,
                         depthwise_plane_function *function);

/* Four accumulators, two outputs of one row and two of the next. A step of 0 (there is no such row or column) lets the
 * right value overwrite the one that nobody wants. */
static inline void depthwise_write_2x2(const requant_s8 *q, const int32_t *channel, int32_t a, int32_t b, int32_t c,
                                       int32_t d, int8_t *to, int32_t to_row, int32_t to_column) {
  const uint32_t multiplier = (uint32_t)channel[REQUANT_MULTIPLIER];
  const int32_t rounding = channel[REQUANT_ROUNDING], shift = channel[REQUANT_SHIFT];
  if (q->signed_ties) {
    a = smmulr((uint32_t)a, multiplier);
    b = smmulr((uint32_t)b, multiplier);
    c = smmulr((uint32_t)c, multiplier);
    d = smmulr((uint32_t)d, multiplier);
    a += (a >> 31) + rounding;
    b += (b >> 31) + rounding;
    c += (c >> 31) + rounding;
    d += (d >> 31) + rounding;
  } else {
    a = smmlar((uint32_t)a, multiplier, rounding);
    b = smmlar((uint32_t)b, multiplier, rounding);
    c = smmlar((uint32_t)c, multiplier, rounding);
    d = smmlar((uint32_t)d, multiplier, rounding);
  }
  a = ssat8(a >> shift);
  b = ssat8(b >> shift);
  c = ssat8(c >> shift);
  d = ssat8(d >> shift);
  if (q->bounded) {
    a = clamp_s32(a, q->activation_min, q->activation_max);
    b = clamp_s32(b, q->activation_min, q->activation_max);
    c = clamp_s32(c, q->activation_min, q->activation_max);
    d = clamp_s32(d, q->activation_min, q->activation_max);
  }
  int8_t *next = to + to_row;
  next[to_column] = (int8_t)d;
  next[0] = (int8_t)c;
  to[to_column] = (int8_t)b;
  to[0] = (int8_t)a;
}

#endif
