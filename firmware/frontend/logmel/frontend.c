/* SPDX-License-Identifier: Apache-2.0 */
/* Log-mel: the log mel energies themselves. */
#include "mel.h"

const char *const frontend_step_names[FRONTEND_STEPS] = {"window", "fft", "mel", "log", "quantize"};

extern const float frontend_scaling[2 * FRONTEND_FEATURES]; /* of each: multiplier, offset */

/* Product and sum rounded apart, as tinyflow/frontend/quantize.py does; then half to even. */
#define QUANTIZE LOAD_1(in, 0) LOAD(scaling, 1, 2) MUL(0, 0, 1) ADD(0, 0, 2) ROUND_INT8(value, 0)

static void quantize(int8_t *features) {
  const float *in = mel + 1, *scaling = frontend_scaling;
  uint32_t value = 0;
  FPU_REGISTERS;
  for (int i = 0; i < FRONTEND_FEATURES; i++) {
    RUN(QUANTIZE, RW(in), RW(scaling), RW(value));
    features[i] = (int8_t)value;
  }
}

void frontend_step(int step, const int16_t *samples, int8_t *features) {
  switch (step) {
    case 0: frontend_begin(samples, FRONTEND_WINDOW, samples); break;
    case 1: power_spectrum(); break;
    case 2: mel_energies(); break;
    case 3: take_logarithms(); break;
    case 4: quantize(features); break;
    default: break;
  }
}
