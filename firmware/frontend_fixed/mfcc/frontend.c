/* SPDX-License-Identifier: Apache-2.0 */
/* MFCC in integers: the DCT of the log mel energies; ln 2, the scaler and the quantisation lie in its table. */
#include "mel.h"

const char *const frontend_step_names[FRONTEND_STEPS] = {"window", "fft", "mel", "log", "dct", "quantize"};

enum {
  FRONTEND_BLOCK = 4,     /* coefficients of one DCT block */
  FRONTEND_MEAN_SHIFT = 7 /* the mean logarithm is their sum over 2^that */
};

/* What the DCT adds to a coefficient: offset + drift * mean. */
extern const fixed_scaling frontend_fixed_scaling[]; /* in the order of the DCT's outputs, as ... */
extern const uint16_t frontend_fixed_order[FRONTEND_FEATURES]; /* ... says which coefficients they are */
extern const int32_t frontend_fixed_dct[]; /* [stage][block][input][coefficient] */

static int32_t mean; /* of the logarithms, times FRONTEND_MELS / 2^FRONTEND_MEAN_SHIFT */
/* int8 features, 2^FRONTEND_FIXED_SHIFT, in frontend_fixed_order */
static int64_t coefficients[FRONTEND_FEATURES + FRONTEND_BLOCK];

/* x[i] and x[size - 1 - i] become their sum and their difference: coefficients 0, 2, ... are the DCT of half the size
 * of the sums; 1, 3, ... are a matrix times the differences. */
static void fold(int32_t *x, size_t size) {
  for (int32_t *low = x, *high = x + size - 1; low < high; low++, high--) {
    const int32_t a = *low, b = *high;
    *low = a + b;
    *high = a - b;
  }
}

/* coefficients[from] to [from + outputs] = offset + drift * mean + table * x[inputs]; returns the table past it. Writes
 * whole blocks. */
static const int32_t *products(const int32_t *table, const int32_t *x, size_t inputs, size_t from, size_t outputs) {
  for (size_t i = from; i < from + outputs; i += FRONTEND_BLOCK) {
    const fixed_scaling *first = frontend_fixed_scaling + i;
    int64_t a = first[0].offset + (int64_t)first[0].drift * mean, b = first[1].offset + (int64_t)first[1].drift * mean;
    int64_t c = first[2].offset + (int64_t)first[2].drift * mean, d = first[3].offset + (int64_t)first[3].drift * mean;
    for (const int32_t *in = x, *end = x + inputs; in != end; table += FRONTEND_BLOCK) {
      const int32_t value = *in++;
      a += (int64_t)table[0] * value;
      b += (int64_t)table[1] * value;
      c += (int64_t)table[2] * value;
      d += (int64_t)table[3] * value;
    }
    coefficients[i] = a;
    coefficients[i + 1] = b;
    coefficients[i + 2] = c;
    coefficients[i + 3] = d;
  }
  return table;
}

static void dct(void) {
  const int32_t *table = frontend_fixed_dct;
  size_t size = FRONTEND_MELS, done = 0;
  for (int i = 0; i < FRONTEND_FIXED_FOLDS; i++) {
    fold(logarithms, size);
    size /= 2;
    const size_t outputs = (FRONTEND_FEATURES - done) / 2;
    table = products(table, logarithms + size, size, done, outputs);
    done += outputs;
  }
  products(table, logarithms, size, done, FRONTEND_FEATURES - done);
}

static void quantize(int8_t *features) {
  for (size_t i = 0; i < FRONTEND_FEATURES; i++) features[frontend_fixed_order[i]] = quantized(coefficients[i]);
}

void frontend_step(int step, const int16_t *samples, int8_t *features) {
  switch (step) {
    case 0: frontend_begin(samples, FRONTEND_WINDOW, samples); break;
    case 1: power_spectrum(); break;
    case 2: mel_energies(); break;
    case 3: mean = (int32_t)(take_logarithms() >> FRONTEND_MEAN_SHIFT); break;
    case 4: dct(); break;
    case 5: quantize(features); break;
    default: break;
  }
}
