/* SPDX-License-Identifier: Apache-2.0 */
#include "fp.h"

#include "frontend.h"
#include "frontend_tables.h"

const char *const frontend_step_names[FRONTEND_STEPS] = {"window", "fft", "mel", "log", "dct", "quantize"};

/* FRONTEND_HALF complex values hold FRONTEND_FFT real ones, or the FRONTEND_BINS of the power spectrum. */
static frontend_complex buffers[2][FRONTEND_HALF];
static const float *power = (const float *)buffers[1];
static float mel[FRONTEND_MELS]; /* energies, then their logarithms */
static float mfcc[FRONTEND_BLOCKS * FRONTEND_BLOCK];

static void window(const int16_t *samples) {
  float *frame = (float *)buffers[0];
  for (size_t i = 0; i < FRONTEND_WINDOW; i++) frame[i] = (float)samples[i] * frontend_window[i];
  for (size_t i = FRONTEND_WINDOW; i < FRONTEND_FFT; i++) frame[i] = 0.0f;
}

static void mel_energies(void) {
  const float *weight = frontend_mel_weights;
  for (size_t i = 0; i < FRONTEND_MELS; i++) {
    const float *bin = power + frontend_bands[i].first;
    float energy = 0.0f; /* what a filter narrower than a bin leaves */
    for (size_t n = frontend_bands[i].count; n > 0; n--) energy = fmaf(*weight++, *bin++, energy);
    mel[i] = energy;
  }
}

static void logarithms(void) {
  for (size_t i = 0; i < FRONTEND_MELS; i++) mel[i] = frontend_log(mel[i] + FRONTEND_LOG_OFFSET);
}

static void dct(void) {
  const float *table = frontend_dct;
  for (size_t block = 0; block < FRONTEND_BLOCKS; block++) {
    float a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f;
    for (size_t i = 0; i < FRONTEND_MELS; i++, table += FRONTEND_BLOCK) {
      const float value = mel[i];
      a = fmaf(table[0], value, a);
      b = fmaf(table[1], value, b);
      c = fmaf(table[2], value, c);
      d = fmaf(table[3], value, d);
    }
    float *out = mfcc + block * FRONTEND_BLOCK;
    out[0] = a;
    out[1] = b;
    out[2] = c;
    out[3] = d;
  }
}

/* Product and sum rounded apart, as tinyflow/features/quantize.py does; then half to even: in [2^23, 2^24) a float's
 * ulp is 1, so adding 1.5 * 2^23 rounds. Clamping first gives the same and keeps the sum in that range. */
static void quantize(int8_t *features) {
  const float round = 12582912.0f;
  for (size_t i = 0; i < FRONTEND_MFCC; i++) {
    const float product = mfcc[i] * frontend_multiplier[i];
    float value = product + frontend_offset[i];
    if (value < -128.0f) value = -128.0f;
    if (value > 127.0f) value = 127.0f;
    const float shifted = value + round;
    features[i] = (int8_t)(shifted - round);
  }
}

void frontend_step(int step, const int16_t *samples, int8_t *features) {
  switch (step) {
    case 0: window(samples); break;
    case 1: power = frontend_power(buffers[0], buffers[1]); break;
    case 2: mel_energies(); break;
    case 3: logarithms(); break;
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
