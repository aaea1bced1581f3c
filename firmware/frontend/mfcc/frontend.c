/* SPDX-License-Identifier: Apache-2.0 */
/* MFCC: the DCT of the log mel energies. */
#include "mel.h"

const char *const frontend_step_names[FRONTEND_STEPS] = {"window", "fft", "mel", "log", "dct", "quantize"};

enum { FRONTEND_DCT_INPUTS = FRONTEND_MEL_PADDING, FRONTEND_DCT_OUTPUTS = 5 }; /* of one block of the DCT */

extern const float frontend_dct[]; /* stage by stage, [block of outputs][block of inputs][input][output] */
extern const uint16_t frontend_order[FRONTEND_FEATURES]; /* the coefficients in the order of the DCT's outputs */
extern const float frontend_scaling[3 * FRONTEND_FEATURES]; /* of each, in that order: drift, multiplier, offset */

static float mfcc[FRONTEND_FEATURES + FRONTEND_DCT_OUTPUTS]; /* in frontend_order */

/* x[i] and x[size - 1 - i] become their sum and their difference: coefficients 0, 2, ... are the DCT of half the size
 * of the sums; 1, 3, ... are a matrix times the differences. */
/* clang-format off */
#define FOLD                                                                                         \
  DO(1) LOAD(low, 0, 1) LOAD_BACK(high, 2, 3) ADD(4, 0, 3) ADD(5, 1, 2) SUB(7, 0, 3) SUB(6, 1, 2)    \
  STORE(sum, 4, 5) STORE_AT(high, 6, 7) TIMES_LEFT(1, n)
/* clang-format on */

static void fold(float *x, uint32_t size) {
  float *low = x, *high = x + size, *sum = x;
  uint32_t n = size / 4;
  FPU_REGISTERS;
  RUN(FOLD, RW(low), RW(high), RW(sum), RW(n));
  (void)sum;
}

/* clang-format off */
#define PRODUCTS                                                                                     \
  SET(0, zero) SET(1, zero) SET(2, zero) SET(3, zero) SET(4, zero)                                   \
  DO(1) LOAD(in, 8, 11) LOAD(table, 12, 31)                                                          \
  FMA(0, 8, 12) FMA(1, 8, 13) FMA(2, 8, 14) FMA(3, 8, 15) FMA(4, 8, 16)                              \
  FMA(0, 9, 17) FMA(1, 9, 18) FMA(2, 9, 19) FMA(3, 9, 20) FMA(4, 9, 21)                              \
  FMA(0, 10, 22) FMA(1, 10, 23) FMA(2, 10, 24) FMA(3, 10, 25) FMA(4, 10, 26)                         \
  FMA(0, 11, 27) FMA(1, 11, 28) FMA(2, 11, 29) FMA(3, 11, 30) FMA(4, 11, 31) TIMES_LEFT(1, n)        \
  STORE_AT(out, 0, 4)
/* clang-format on */

/* out[outputs] = the next part of the table times x[inputs]; returns the table past it. Writes whole blocks. */
static const float *products(const float *table, const float *x, uint32_t inputs, float *out, uint32_t outputs) {
  FPU_REGISTERS;
  for (uint32_t done = 0; done < outputs; done += FRONTEND_DCT_OUTPUTS) {
    const float *in = x;
    uint32_t n = (inputs + FRONTEND_DCT_INPUTS - 1) / FRONTEND_DCT_INPUTS, zero = 0;
    RUN(PRODUCTS, RW(table), RW(in), RW(out), RW(n), RW(zero));
    out += FRONTEND_DCT_OUTPUTS;
  }
  return table;
}

static void dct(void) {
  const float *table = frontend_dct;
  float *x = mel + 1, *out = mfcc;
  uint32_t size = FRONTEND_MELS, outputs = FRONTEND_FEATURES;
  for (int i = 0; i < FRONTEND_DCT_FOLDS; i++) {
    fold(x, size);
    size /= 2;
    table = products(table, x + size, size, out, outputs / 2);
    out += outputs / 2;
    outputs -= outputs / 2;
  }
  products(table, x, size, out, outputs);
}

/* The drift (frontend/mfcc/c.py) times coefficient 0, which is 4, comes first. Then product and sum rounded apart, as
 * tinyflow/frontend/quantize.py does; then half to even. */
/* clang-format off */
#define QUANTIZE                                                                                     \
  LOAD_1(first, 4)                                                                                   \
  DO(1) LOAD_1(in, 0) LOAD(scaling, 1, 3) FMA(0, 1, 4) MUL(0, 0, 2) ADD(0, 0, 3) ROUND_INT8(value, 0) \
  READ_16(place, order) WRITE_8(features, place, value) TIMES_LEFT(1, n)
/* clang-format on */

static void quantize(int8_t *features) {
  const float *in = mfcc, *first = mfcc + FRONTEND_DCT_FIRST, *scaling = frontend_scaling;
  const uint16_t *order = frontend_order;
  uint32_t n = FRONTEND_FEATURES, value = 0, place = 0;
  FPU_REGISTERS;
  RUN(QUANTIZE, RW(first), RW(in), RW(scaling), RW(order), RW(features), RW(n), RW(value), RW(place));
}

void frontend_step(int step, const int16_t *samples, int8_t *features) {
  switch (step) {
    case 0: frontend_begin(samples, FRONTEND_WINDOW, samples); break;
    case 1: power_spectrum(); break;
    case 2: mel_energies(); break;
    case 3: take_logarithms(); break;
    case 4: dct(); break;
    case 5: quantize(features); break;
    default: break;
  }
}
