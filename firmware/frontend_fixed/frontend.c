/* SPDX-License-Identifier: Apache-2.0 */
/* The MFCC front end (frontend.h) in integers alone. Every frame is shifted to fill its 32-bit words, so that quiet
 * ones are as exact as loud ones; powers and mel energies have 64 bits, logarithms are log2 in 2^24, and ln 2, the
 * scaler and the quantisation lie in the DCT's table. */
#include "frontend.h"

#include <string.h>

#include "frontend_fixed_tables.h"

const char *const frontend_step_names[FRONTEND_STEPS] = {"window", "fft", "mel", "log", "dct", "quantize"};

static fixed_buffer buffers[2];
static const uint64_t *power = buffers[1].power;
static uint64_t energies[FRONTEND_MELS];
static int32_t logarithms[FRONTEND_MELS];
static int64_t coefficients[FRONTEND_BLOCKS * FRONTEND_BLOCK]; /* int8 features, 2^FRONTEND_FIXED_SHIFT */
static int gain; /* the frame is shifted left by this more than one that reaches full scale */

/* Spare bits of the largest sample, 0 to 15. x ^ 2x has its highest bit where the run of sign bits ends; the two
 * samples of a word do not disturb one another but for a bit that says "at least 1". */
static int spare_bits(const int16_t *samples) {
  uint32_t used = 1;
  for (size_t i = 0; i + 1 < FRONTEND_WINDOW; i += 2) {
    uint32_t pair;
    memcpy(&pair, samples + i, sizeof pair);
    used |= pair ^ pair << 1;
  }
  if (FRONTEND_WINDOW % 2) used |= (uint32_t)samples[FRONTEND_WINDOW - 1] ^ (uint32_t)samples[FRONTEND_WINDOW - 1] << 1;
  used = (used | used >> 16) & 0xFFFFu;
  int spare = 0;
  for (; !(used & 0x8000u); used <<= 1) spare++;
  return spare;
}

static void window(const int16_t *samples) {
  int32_t *frame = (int32_t *)buffers[0].points;
  gain = spare_bits(samples);
  const int shift = gain + FRONTEND_FIXED_PEAK - 16;
  for (size_t i = 0; i < FRONTEND_WINDOW; i++)
    frame[i] = high_product((int32_t)((uint32_t)samples[i] << shift), frontend_fixed_window[i]);
  for (size_t i = FRONTEND_WINDOW; i < FRONTEND_FFT; i++) frame[i] = 0;
}

/* A bin between the centres of two bands gives each a share of its power, and the shares sum to 1. Bins of segment i lie
 * between the centres of bands i - 1 and i. */
static void mel_energies(void) {
  const uint64_t *bin = power + FRONTEND_FIXED_FIRST_BIN;
  const uint32_t *weight = frontend_fixed_mel_weights;
  for (size_t i = 0; i <= FRONTEND_MELS; i++) {
    uint64_t all = 0, upper = 0;
    for (size_t n = frontend_fixed_segments[i]; n > 0; n--) {
      const uint64_t value = *bin++;
      const uint32_t share = *weight++;
      all += value;
      upper += (uint64_t)share * (uint32_t)(value >> 32) + ((uint64_t)share * (uint32_t)value >> 32);
    }
    if (i > 0) energies[i - 1] += all - upper;
    if (i < FRONTEND_MELS) energies[i] = upper;
  }
}

static void take_logarithms(void) {
  const uint64_t offset = FRONTEND_FIXED_LOG_OFFSET << 2 * gain;
  const int32_t unit = (FRONTEND_FIXED_UNIT + 2 * gain) * (1 << 24); /* a power of 1 is 2^that */
  for (size_t i = 0; i < FRONTEND_MELS; i++) logarithms[i] = frontend_fixed_log2(energies[i] + offset) - unit;
}

static void dct(void) {
  const int32_t *table = frontend_fixed_dct;
  for (size_t block = 0; block < FRONTEND_BLOCKS * FRONTEND_BLOCK; block += FRONTEND_BLOCK) {
    int64_t a = frontend_fixed_offset[block], b = frontend_fixed_offset[block + 1];
    for (size_t i = 0; i < FRONTEND_MELS; i++, table += FRONTEND_BLOCK) {
      const int32_t value = logarithms[i];
      a += (int64_t)table[0] * value;
      b += (int64_t)table[1] * value;
    }
    coefficients[block] = a;
    coefficients[block + 1] = b;
  }
}

/* Half to even, then clamped. */
static void quantize(int8_t *features) {
  const uint64_t half = (uint64_t)1 << (FRONTEND_FIXED_SHIFT - 1);
  for (size_t i = 0; i < FRONTEND_MFCC; i++) {
    int64_t value = coefficients[i] >> FRONTEND_FIXED_SHIFT;
    const uint64_t rest = (uint64_t)coefficients[i] & (2 * half - 1);
    value += rest > half || (rest == half && (value & 1));
    features[i] = (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
  }
}

void frontend_step(int step, const int16_t *samples, int8_t *features) {
  switch (step) {
    case 0: window(samples); break;
    case 1: power = frontend_fixed_power(&buffers[0], &buffers[1]); break;
    case 2: mel_energies(); break;
    case 3: take_logarithms(); break;
    case 4: dct(); break;
    case 5: quantize(features); break;
    default: break;
  }
}

void frontend_frame(const int16_t *samples, int8_t *features) {
  for (int step = 0; step < FRONTEND_STEPS; step++) frontend_step(step, samples, features);
}

size_t frontend_clip(const int16_t *samples, size_t count, int8_t *features) {
  size_t frames = 0;
  for (; count >= FRONTEND_WINDOW; frames++, features += FRONTEND_MFCC) {
    frontend_frame(samples, features);
    samples += FRONTEND_HOP;
    count -= FRONTEND_HOP;
  }
  return frames;
}
