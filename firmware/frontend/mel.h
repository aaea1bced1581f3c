/* SPDX-License-Identifier: Apache-2.0 */
/* What front ends of mel energies share: window, power spectrum, mel bank, logarithm. Included by the one frontend.c of
 * a kind (firmware/frontend/<kind>/), so that the compiler sees all steps of a frame together. */
#ifndef TINYFLOW_MEL_H
#define TINYFLOW_MEL_H

#include "fpu.h"

#include "frontend.h"
#include "frontend_tables.h"

static float buffers[2][FRONTEND_BUFFER]; /* samples and spectra, in turn */
static const float *power = buffers[1];
static float mel[1 + FRONTEND_MELS + FRONTEND_MEL_PADDING]; /* energies, then their logarithms, from 1 on */

/* clang-format off */
#define WINDOW_16                                                                                       \
  DO(1) LOAD_SAMPLES(samples, 0, 1) LOAD_SAMPLES(samples, 2, 3) LOAD_SAMPLES(samples, 4, 5)             \
  LOAD_SAMPLES(samples, 6, 7) LOAD_SAMPLES(samples, 8, 9) LOAD_SAMPLES(samples, 10, 11)                 \
  LOAD_SAMPLES(samples, 12, 13) LOAD_SAMPLES(samples, 14, 15) LOAD(w, 16, 31)                           \
  MUL(0, 0, 16) MUL(1, 1, 17) MUL(2, 2, 18) MUL(3, 3, 19) MUL(4, 4, 20) MUL(5, 5, 21) MUL(6, 6, 22)     \
  MUL(7, 7, 23) MUL(8, 8, 24) MUL(9, 9, 25) MUL(10, 10, 26) MUL(11, 11, 27) MUL(12, 12, 28)             \
  MUL(13, 13, 29) MUL(14, 14, 30) MUL(15, 15, 31) STORE(frame, 0, 15) TIMES_LEFT(1, n)
/* clang-format on */

/* Samples `from` to `from` + count of a frame, as fractions of 65536: the split step doubles. */
static void window(const int16_t *samples, size_t from, size_t count) {
  const float *w = frontend_window + from;
  float *frame = buffers[0] + from;
  uint32_t n = (uint32_t)count / 16, even = 0, odd = 0;
  FPU_REGISTERS;
  if (n) RUN(WINDOW_16, RW(samples), RW(w), RW(frame), RW(even), RW(odd), RW(n));
  (void)even, (void)odd;
  for (count %= 16; count > 0; count--) *frame++ = (float)*samples++ * 0x1p-16f * *w++;
}

void frontend_begin(const int16_t *first, size_t count, const int16_t *rest) {
  window(first, 0, count);
  window(rest, count, FRONTEND_WINDOW - count);
}

static void power_spectrum(void) {
  for (size_t i = FRONTEND_WINDOW; i < FRONTEND_FILLED; i++) buffers[0][i] = 0.0f;
  power = frontend_power(buffers[0], buffers[1]);
}

/* 0 and 1: filters g - 1 and g of group g. Before the first there is filter -1, which stays 0. */
/* clang-format off */
#define MEL_GROUPS                                                                                   \
  SET(0, zero) COPY(2, 0) COPY(1, 0)                                                                 \
  DO(1) READ_16(first, group) READ_16(blocks, group) POINT(bin, power_, first)                       \
  DO(2) LOAD(bin, 4, 7) LOAD(w, 8, 15) FMA(0, 4, 8) FMA(1, 4, 9) FMA(0, 5, 10) FMA(1, 5, 11)         \
  FMA(0, 6, 12) FMA(1, 6, 13) FMA(0, 7, 14) FMA(1, 7, 15) TIMES_LEFT(2, blocks)                      \
  STORE_1(energy, 0) COPY(0, 1) COPY(1, 2) TIMES_LEFT(1, n) STORE_1(energy, 0)
/* clang-format on */

static void mel_energies(void) {
  const uint16_t *group = &frontend_groups[0].first;
  const float *w = frontend_mel_weights, *power_ = power, *bin = power;
  float *energy = mel;
  uint32_t n = FRONTEND_MELS, zero = 0, first = 0, blocks = 0;
  FPU_REGISTERS;
  RUN(MEL_GROUPS, RW(group), RW(w), RW(power_), RW(bin), RW(energy), RW(n), RW(zero), RW(first), RW(blocks));
  (void)energy;
}

/* mel[1] to mel[FRONTEND_MELS]: logarithms of the energies. */
static void take_logarithms(void) { frontend_log(mel + 1, FRONTEND_MELS, FRONTEND_LOG_OFFSET); }

#endif
