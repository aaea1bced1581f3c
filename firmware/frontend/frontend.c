/* SPDX-License-Identifier: Apache-2.0 */
#include "fpu.h"

#include "frontend.h"
#include "frontend_tables.h"

const char *const frontend_step_names[FRONTEND_STEPS] = {"window", "fft", "mel", "log", "dct", "quantize"};

static float buffers[2][FRONTEND_BUFFER]; /* samples and spectra, in turn */
static const float *power = buffers[1];
static float mel[1 + FRONTEND_MELS + FRONTEND_DCT_INPUTS]; /* energies, then their logarithms, from 1 on */
static float mfcc[FRONTEND_MFCC + FRONTEND_DCT_OUTPUTS]; /* in frontend_order */

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
  uint32_t size = FRONTEND_MELS, outputs = FRONTEND_MFCC;
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
  uint32_t n = FRONTEND_MFCC, value = 0, place = 0;
  FPU_REGISTERS;
  RUN(QUANTIZE, RW(first), RW(in), RW(scaling), RW(order), RW(features), RW(n), RW(value), RW(place));
}

void frontend_step(int step, const int16_t *samples, int8_t *features) {
  switch (step) {
    case 0: frontend_begin(samples, FRONTEND_WINDOW, samples); break;
    case 1: power_spectrum(); break;
    case 2: mel_energies(); break;
    case 3: frontend_log(mel + 1, FRONTEND_MELS, FRONTEND_LOG_OFFSET); break;
    case 4: dct(); break;
    case 5: quantize(features); break;
    default: break;
  }
}
