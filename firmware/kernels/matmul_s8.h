/* SPDX-License-Identifier: Apache-2.0 */
/* The core of convolutions: three pixels at a time against all output channels (matmul_s8 of kernels.h).
 *
 * Columns: the inputs of three pixels, widened to int16 and doubled, so that the accumulators of requant.h come out doubled.
 * Six words per four inputs k of a pixel: (k0, k2) of the three pixels, then (k1, k3), as SXTB16 gives them. */
#ifndef TINYFLOW_MATMUL_S8_H
#define TINYFLOW_MATMUL_S8_H

#include "dsp.h"
#include "kernels.h"

enum { MATMUL_PIXELS = 3, MATMUL_QUAD_WORDS = 6 };

/* Columns of `quads` times four inputs that lie side by side, from anywhere. Returns the end of what it wrote. */
uint32_t *matmul_s8_widen(uint32_t *columns, const int8_t *const pixels[MATMUL_PIXELS], int32_t quads);

/* The same of inputs `stride` bytes apart; any number of them, to a whole quad whose rest meets weights of 0. */
void matmul_s8_widen_planes(uint32_t *columns, const int8_t *const pixels[MATMUL_PIXELS], int32_t channels, int32_t stride);

/* Where the three pixels of a block go: bytes from `output` to the second and the third (0 where there is none: the last
 * pixel stands in the columns again), and from channel to channel. */
typedef struct {
  int8_t *output;
  int32_t second, third, channel_stride;
} matmul_s8_outputs;

/* All output channels of three pixels. columns: depth / 4 * MATMUL_QUAD_WORDS words, aligned to 4 bytes. */
void matmul_s8_block(const matmul_s8 *p, const uint32_t *columns, const matmul_s8_outputs *to);

#endif
