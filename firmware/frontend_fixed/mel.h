/* SPDX-License-Identifier: Apache-2.0 */
/* What front ends of mel energies share, in integers alone. Every frame is shifted to fill its 32-bit words, so that
 * quiet ones are as exact as loud ones; powers and mel energies have 64 bits, logarithms are log2 in 2^24. Included by
 * the one frontend.c of a kind (firmware/frontend_fixed/<kind>/). */
#ifndef TINYFLOW_MEL_H
#define TINYFLOW_MEL_H

#include "frontend.h"

#include <string.h>

#include "frontend_fixed_tables.h"

/* Short loops that the compiler would leave as they are. */
#if defined(__GNUC__) && !defined(__clang__)
#define UNROLL _Pragma("GCC unroll 4")
#else
#define UNROLL
#endif

static fixed_buffer buffers[2];
static const uint64_t *power = buffers[1].power;
static uint64_t energies[FRONTEND_MELS];
static int32_t logarithms[FRONTEND_MELS];
static int gain; /* the frame is shifted left by this more than one that reaches full scale */

/* Bits that differ from their neighbours: the highest is where the run of sign bits ends. The two samples of a word do
 * not disturb one another, but for a bit that says "at least 1". */
static uint32_t used_bits(const int16_t *samples, size_t count) {
  uint32_t used = 1;
  UNROLL
  for (; count > 1; count -= 2, samples += 2) {
    uint32_t pair;
    memcpy(&pair, samples, sizeof pair);
    used |= pair ^ pair << 1;
  }
  if (count) used |= (uint32_t)samples[0] ^ (uint32_t)samples[0] << 1;
  return used;
}

/* 0 to 15 spare bits of the largest sample. */
static void set_gain(uint32_t used) {
  used = (used | used >> 16) & 0xFFFFu;
  for (gain = 0; !(used & 0x8000u); used <<= 1) gain++;
}

/* Samples `from` to `from` + count of a frame. */
static void window(const int16_t *samples, size_t from, size_t count) {
  const int32_t *w = frontend_fixed_window + from;
  int32_t *frame = (int32_t *)buffers[0].points + from;
  const int shift = gain + FRONTEND_FIXED_PEAK - 16;
  UNROLL
  for (size_t i = 0; i < count; i++) frame[i] = high_product((int32_t)((uint32_t)samples[i] << shift), w[i]);
}

void frontend_begin(const int16_t *first, size_t count, const int16_t *rest) {
  set_gain(used_bits(first, count) | used_bits(rest, FRONTEND_WINDOW - count));
  window(first, 0, count);
  window(rest, count, FRONTEND_WINDOW - count);
}

static void power_spectrum(void) {
  int32_t *frame = (int32_t *)buffers[0].points;
  for (size_t i = FRONTEND_WINDOW; i < FRONTEND_FFT; i++) frame[i] = 0;
  power = frontend_fixed_power(&buffers[0], &buffers[1]);
}

/* A bin between the centres of two bands gives each a share of its power, and the shares sum to 1. Bins of segment i
 * lie between the centres of bands i - 1 and i. */
static void mel_energies(void) {
  const uint64_t *bin = power + FRONTEND_FIXED_FIRST_BIN;
  const uint32_t *shares = frontend_fixed_shares;
  for (size_t i = 0; i <= FRONTEND_MELS; i++) {
    uint64_t all = 0, upper = 0;
    for (size_t n = frontend_fixed_segments[i]; n > 0; n--) {
      const uint64_t value = *bin++;
      const uint32_t share = *shares++;
      all += value;
      upper += (uint64_t)share * (uint32_t)(value >> 32) + ((uint64_t)share * (uint32_t)value >> 32);
    }
    if (i > 0) energies[i - 1] += all - upper;
    if (i < FRONTEND_MELS) energies[i] = upper;
  }
}

/* Returns their sum. */
static int64_t take_logarithms(void) {
  const uint64_t offset = FRONTEND_FIXED_LOG_OFFSET << 2 * gain;
  const int32_t unit = (FRONTEND_FIXED_UNIT + 2 * gain) * (1 << 24); /* a power of 1 is 2^that */
  int64_t sum = 0;
  for (size_t i = 0; i < FRONTEND_MELS; i++) {
    const int32_t value = frontend_fixed_log2(energies[i] + offset) - unit;
    logarithms[i] = value;
    sum += value;
  }
  return sum;
}

/* An int8 feature of its value times 2^FRONTEND_FIXED_SHIFT: half to even, of what the fraction's first bits show; then
 * clamped. */
static int8_t quantized(int64_t feature) {
  enum { FRACTION = FRONTEND_FIXED_SHIFT - 32 };
  int32_t value = (int32_t)(feature >> 32);
  value = (value + (1 << (FRACTION - 1)) - 1 + (value >> FRACTION & 1)) >> FRACTION;
  return (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
}

#endif
