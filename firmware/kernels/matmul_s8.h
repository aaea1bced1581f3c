/* SPDX-License-Identifier: Apache-2.0 */
/* The core of convolutions: three pixels at a time against all output channels (matmul_s8 of kernels.h).
 *
 * Columns: the inputs of three pixels, widened to int16. Six words per four inputs k of a pixel: (k0, k2) of the three
 * pixels, then (k1, k3), as SXTB16 gives them. */
#ifndef TINYFLOW_MATMUL_S8_H
#define TINYFLOW_MATMUL_S8_H

#include "dsp.h"
#include "kernels.h"

enum { MATMUL_PIXELS = 3, MATMUL_QUAD_WORDS = 6 };

/* Columns of `quads` times four inputs that lie side by side, from anywhere. Returns the end of what it wrote. */
uint32_t *matmul_s8_widen(uint32_t *columns, const int8_t *const pixels[MATMUL_PIXELS], int32_t quads);

/* The same of inputs `stride` bytes apart, the three pixels at 0, second and third bytes from `pixel`; any number of
 * channels, to a whole quad whose rest meets weights of 0. */
void matmul_s8_widen_planes(uint32_t *columns, const int8_t *pixel, int32_t second, int32_t third, int32_t channels,
                            int32_t stride);

/* The same of three pixels side by side, in whole quads; may read a byte more of each plane. */
void matmul_s8_widen_neighbours(uint32_t *columns, const int8_t *pixel, int32_t quads, int32_t stride);

/* A layer's work, the same for all blocks but for where the pixels go: second and third are bytes from `output`. A
 * block of less than three pixels has the last in its columns again, and its place. */
struct matmul_s8_block {
  int32_t rounding;
  int8_t *output;
  int32_t second, third, channel_stride;
  const int32_t *stream_end;
  const uint32_t *columns_end, *columns; /* aligned to 4 bytes */
  int32_t skipped;
  const int32_t *stream;
};
void matmul_s8_begin(matmul_s8_block *block, const matmul_s8 *p, const uint32_t *columns, int32_t channel_stride);

/* All output channels of three pixels. */
void matmul_s8_run(const matmul_s8_block *block, const matmul_s8 *p, matmul_s8_pairs_function *run);

/* Fused pairs: each half of a word of weights is 256 times the second channel's plus the first's, so that no
 * instruction need split them; so are biases, but for what leaves 32 bits. The first channel's sums, taken off, leave
 * the second's in the upper 24 bits. */
static inline int32_t fused_other(int32_t first, int32_t fused) {
  return (int32_t)((uint32_t)fused - (uint32_t)first) >> 8;
}

/* The second channel's weights: the upper bytes, and what a negative lower byte took from them. */
static inline uint32_t fused_others(uint32_t word) {
  return (uint32_t)sadd16(sxtb16_ror8(word), word >> 7 & 0x00010001);
}

#endif
