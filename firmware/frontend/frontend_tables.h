/* SPDX-License-Identifier: Apache-2.0 */
/* The generated constants (frontend_tables.c) and the steps that live in files of their own. */
#ifndef TINYFLOW_FRONTEND_TABLES_H
#define TINYFLOW_FRONTEND_TABLES_H

#include <stddef.h>
#include <stdint.h>

#include "frontend_config.h"

typedef struct {
  float re, im;
} frontend_complex;

/* The non-zero run of one mel filter: weights of bins first .. first + count - 1. */
typedef struct {
  uint16_t first, count;
} frontend_band;

/* A real FFT of FRONTEND_FFT points is a complex one of half as many and a split step. */
enum {
  FRONTEND_HALF = FRONTEND_FFT / 2,
  FRONTEND_BINS = FRONTEND_HALF + 1,
  FRONTEND_BLOCK = 4, /* coefficients of one DCT block */
  FRONTEND_BLOCKS = (FRONTEND_MFCC + FRONTEND_BLOCK - 1) / FRONTEND_BLOCK
};

/* Hann / 65536: 1/32768 makes samples of +-1, 1/2 is the split step's. Both are exact. */
extern const float frontend_window[FRONTEND_WINDOW];
extern const uint8_t frontend_radices[]; /* product FRONTEND_HALF, ends with 0 */
extern const frontend_complex frontend_twiddles[FRONTEND_HALF]; /* exp(-2 pi i k / FRONTEND_HALF) */
extern const frontend_complex frontend_split_twiddles[FRONTEND_HALF / 2 + 1]; /* exp(-2 pi i k / FRONTEND_FFT) */
extern const frontend_band frontend_bands[FRONTEND_MELS];
extern const float frontend_mel_weights[FRONTEND_MEL_WEIGHTS];
extern const float frontend_dct[FRONTEND_BLOCKS * FRONTEND_MELS * FRONTEND_BLOCK]; /* [block][mel][coefficient] */
extern const float frontend_multiplier[FRONTEND_MFCC];
extern const float frontend_offset[FRONTEND_MFCC];

/* Power spectrum (FRONTEND_BINS values) of a frame of FRONTEND_FFT real values, laid out in time order in `frame`.
 * Both buffers hold FRONTEND_HALF values and are overwritten; returns the one that has the answer. */
float *frontend_power(frontend_complex *frame, frontend_complex *scratch);

/* Natural logarithm of a positive normal float. */
float frontend_log(float x);

#endif
