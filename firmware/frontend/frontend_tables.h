/* SPDX-License-Identifier: Apache-2.0 */
/* The generated constants (frontend_tables.c) and the steps that live in files of their own. */
#ifndef TINYFLOW_FRONTEND_TABLES_H
#define TINYFLOW_FRONTEND_TABLES_H

#include <stddef.h>
#include <stdint.h>

#include "frontend_config.h"

/* The bins of one group touch mel filters g - 1 and g only: four times `blocks` of them from bin `first` on. */
typedef struct {
  uint16_t first, blocks;
} frontend_group;

/* A real FFT of FRONTEND_FFT points is a complex one of half as many and a split step. */
enum {
  FRONTEND_HALF = FRONTEND_FFT / 2,
  FRONTEND_BINS = FRONTEND_HALF + 1,
  FRONTEND_BUFFER = FRONTEND_FFT + 4, /* blocks read past the end, times 0 */
  /* Zeros behind the window, up to here: the rest a first stage of radix 4 knows to be 0. */
  FRONTEND_FILLED = FRONTEND_HALF % 4 == 0 && FRONTEND_WINDOW >= FRONTEND_HALF ? (FRONTEND_WINDOW + 1) / 2 * 2
                                                                               : FRONTEND_FFT,
  /* fours leave a two: else its stage is not compiled */
  FRONTEND_HAS_2 = (FRONTEND_HALF & -FRONTEND_HALF & 0xaaaaaaa) != 0,
  FRONTEND_SPLIT_PAIRS = (FRONTEND_HALF / 2 + 1) / 2 * 2,
  FRONTEND_GROUP_BLOCK = 4, /* bins */
  FRONTEND_MEL_PADDING = 4  /* behind the energies, for what a kind reads of them in blocks */
};

extern const float frontend_window[FRONTEND_WINDOW]; /* Hann */
extern const uint8_t frontend_radices[]; /* product FRONTEND_HALF, ends with 0 */
extern const float frontend_twiddles[]; /* as fft.c reads them */
extern const float frontend_split_twiddles[]; /* exp(-2 pi i k / FRONTEND_FFT), k = 1 .. FRONTEND_SPLIT_PAIRS */
extern const frontend_group frontend_groups[FRONTEND_MELS]; /* group 0: the bins that touch filter 0 alone */
extern const float frontend_mel_weights[]; /* [block][bin][filters g - 1 and g] */

/* Power spectrum (FRONTEND_BINS values) of a frame of FRONTEND_FFT real values. Both buffers hold FRONTEND_BUFFER
 * floats and are overwritten; returns the one that has the answer. */
float *frontend_power(float *frame, float *scratch);

/* Natural logarithms of value + offset, each a positive normal float, in place; count > 0. */
void frontend_log(float *values, uint32_t count, float offset);

#endif
