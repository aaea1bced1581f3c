/* SPDX-License-Identifier: Apache-2.0 */
/* Log-mel in integers: ln 2, the scaler and the quantisation are one weight and one offset of each log2. */
#include "mel.h"

const char *const frontend_step_names[FRONTEND_STEPS] = {"window", "fft", "mel", "log", "quantize"};

extern const int64_t frontend_fixed_offsets[FRONTEND_FEATURES]; /* 2^FRONTEND_FIXED_SHIFT */
extern const int32_t frontend_fixed_weights[FRONTEND_FEATURES];

static void quantize(int8_t *features) {
  for (size_t i = 0; i < FRONTEND_FEATURES; i++)
    features[i] = quantized(frontend_fixed_offsets[i] + (int64_t)frontend_fixed_weights[i] * logarithms[i]);
}

void frontend_step(int step, const int16_t *samples, int8_t *features) {
  switch (step) {
    case 0: frontend_begin(samples, FRONTEND_WINDOW, samples); break;
    case 1: power_spectrum(); break;
    case 2: mel_energies(); break;
    case 3: (void)take_logarithms(); break;
    case 4: quantize(features); break;
    default: break;
  }
}
