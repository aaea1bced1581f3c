/* SPDX-License-Identifier: Apache-2.0 */
/* A front end of mel energies in integers, for cores without FPU: generated constants (frontend_fixed_tables.c,
 * frontend_fixed_config.h) and the steps that live in files of their own. tinyflow/frontend/mel/c_fixed.py makes the
 * constants and says what scale is where. */
#ifndef TINYFLOW_FRONTEND_FIXED_TABLES_H
#define TINYFLOW_FRONTEND_FIXED_TABLES_H

#include <stddef.h>
#include <stdint.h>

#include "frontend_config.h"
#include "frontend_fixed_config.h"

typedef struct {
  int32_t re, im;
} fixed_complex;

/* A real FFT of FRONTEND_FFT points is a complex one of half as many and a split step. */
enum { FRONTEND_HALF = FRONTEND_FFT / 2, FRONTEND_BINS = FRONTEND_HALF + 1 };

/* What a kind adds to a feature: offset + drift * mean. */
typedef struct {
  int64_t offset;
  int32_t drift;
} fixed_scaling;

typedef union {
  fixed_complex points[FRONTEND_HALF];
  uint64_t power[FRONTEND_BINS];
} fixed_buffer;

extern const int32_t frontend_fixed_window[FRONTEND_WINDOW]; /* Hann, 2^30 */
extern const fixed_complex frontend_fixed_twiddles[]; /* 2^30, in the order fft.c reads them */
extern const fixed_complex frontend_fixed_split[FRONTEND_HALF / 2 + 1]; /* exp(-2 pi i k / FRONTEND_FFT), 2^30 */
extern const uint16_t frontend_fixed_segments[FRONTEND_MELS + 1]; /* bins between the centres of two bands */
extern const uint32_t frontend_fixed_shares[]; /* of the upper band, 2^32 */

/* High word of the product. */
static inline int32_t high_product(int32_t a, int32_t b) { return (int32_t)((int64_t)a * b >> 32); }

/* Power spectrum of the frame that lies in `frame` in time order. Both buffers are overwritten; returns the one with
 * the answer. */
const uint64_t *frontend_fixed_power(fixed_buffer *frame, fixed_buffer *scratch);

/* log2 of x > 0, times 2^24. */
int32_t frontend_fixed_log2(uint64_t x);

#endif
