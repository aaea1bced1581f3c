/* SPDX-License-Identifier: Apache-2.0 */
/* Real FFT to power spectrum: a mixed-radix complex FFT of half the size, self-sorting (Stockham), then the split step.
 *
 * A stage of radix r splits each of `stride` interleaved transforms of r * m points: with w = exp(-2 pi i / (r m)),
 *   y[q + stride (r p + j)] = w^(p j) sum_k x[q + stride (p + m k)] exp(-2 pi i j k / r),   p < m, q < stride, j < r.
 * In terms of the one table, w^(p j) = twiddles[stride p j]. Twiddles of p = 0 are 1 and skipped, which leaves the
 * last stage (m = 1) without any. fmaf is written out where fusing is wanted, so every compiler rounds alike. */
#include <math.h>

#include "frontend_tables.h"

typedef frontend_complex complex_t;

static inline complex_t add(complex_t a, complex_t b) { return (complex_t){a.re + b.re, a.im + b.im}; }

static inline complex_t subtract(complex_t a, complex_t b) { return (complex_t){a.re - b.re, a.im - b.im}; }

static inline complex_t multiply(complex_t a, complex_t b) {
  return (complex_t){fmaf(a.re, b.re, -(a.im * b.im)), fmaf(a.re, b.im, a.im * b.re)};
}

/* a + s b */
static inline complex_t scaled(complex_t a, float s, complex_t b) {
  return (complex_t){fmaf(s, b.re, a.re), fmaf(s, b.im, a.im)};
}

/* a - i b and a + i b */
static inline complex_t minus_i(complex_t a, complex_t b) { return (complex_t){a.re + b.im, a.im - b.re}; }

static inline complex_t plus_i(complex_t a, complex_t b) { return (complex_t){a.re - b.im, a.im + b.re}; }

static inline void butterfly2(complex_t *v) {
  const complex_t a = v[0], b = v[1];
  v[0] = add(a, b);
  v[1] = subtract(a, b);
}

static inline void butterfly3(complex_t *v) {
  const float sine = 0.866025404f; /* sin(2 pi / 3) */
  const complex_t sum = add(v[1], v[2]), difference = subtract(v[1], v[2]);
  const complex_t middle = scaled(v[0], -0.5f, sum);
  const complex_t turned = {sine * difference.re, sine * difference.im};
  v[0] = add(v[0], sum);
  v[1] = minus_i(middle, turned);
  v[2] = plus_i(middle, turned);
}

static inline void butterfly4(complex_t *v) {
  const complex_t a = add(v[0], v[2]), b = subtract(v[0], v[2]);
  const complex_t c = add(v[1], v[3]), d = subtract(v[1], v[3]);
  v[0] = add(a, c);
  v[1] = minus_i(b, d);
  v[2] = subtract(a, c);
  v[3] = plus_i(b, d);
}

static inline void butterfly5(complex_t *v) {
  const float cos1 = 0.309016994f, cos2 = -0.809016994f; /* cos(2 pi / 5), cos(4 pi / 5) */
  const float sin1 = 0.951056516f, sin2 = 0.587785252f;
  const complex_t sum1 = add(v[1], v[4]), difference1 = subtract(v[1], v[4]);
  const complex_t sum2 = add(v[2], v[3]), difference2 = subtract(v[2], v[3]);
  const complex_t middle1 = scaled(scaled(v[0], cos1, sum1), cos2, sum2);
  const complex_t middle2 = scaled(scaled(v[0], cos2, sum1), cos1, sum2);
  const complex_t turned1 = scaled((complex_t){sin1 * difference1.re, sin1 * difference1.im}, sin2, difference2);
  const complex_t turned2 = scaled((complex_t){sin2 * difference1.re, sin2 * difference1.im}, -sin1, difference2);
  v[0] = add(v[0], add(sum1, sum2));
  v[1] = minus_i(middle1, turned1);
  v[2] = minus_i(middle2, turned2);
  v[3] = plus_i(middle2, turned2);
  v[4] = plus_i(middle1, turned1);
}

/* One radix: its butterfly inlined with a constant r, so that v lives in registers. */
static inline __attribute__((always_inline)) void stage(const complex_t *x, complex_t *y, const int r, void (*butterfly)(complex_t *),
                                                        size_t m, size_t stride) {
  const size_t part = m * stride;
  complex_t v[5];
  for (size_t q = 0; q < stride; q++, x++, y++) {
    for (int j = 0; j < r; j++) v[j] = x[(size_t)j * part];
    butterfly(v);
    for (int j = 0; j < r; j++) y[(size_t)j * stride] = v[j];
  }
  for (size_t p = 1; p < m; p++) {
    complex_t w[5];
    for (int j = 1; j < r; j++) w[j] = frontend_twiddles[stride * p * (size_t)j];
    y += (size_t)(r - 1) * stride;
    for (size_t q = 0; q < stride; q++, x++, y++) {
      for (int j = 0; j < r; j++) v[j] = x[(size_t)j * part];
      butterfly(v);
      y[0] = v[0];
      for (int j = 1; j < r; j++) y[(size_t)j * stride] = multiply(v[j], w[j]);
    }
  }
}

/* The power of bins k and FRONTEND_HALF - k, from z = even samples + i odd samples, halved by the window:
 * X[k] = E + w^k O, X[FRONTEND_HALF - k] = conj(E - w^k O), with E and O the spectra of the even and odd samples. */
static void split(const complex_t *z, float *power) {
  const float first = 2.0f * (z[0].re + z[0].im), last = 2.0f * (z[0].re - z[0].im);
  power[0] = first * first;
  power[FRONTEND_HALF] = last * last;
  for (size_t k = 1; k <= FRONTEND_HALF / 2; k++) {
    const complex_t a = z[k], b = z[FRONTEND_HALF - k];
    const complex_t even = {a.re + b.re, a.im - b.im}, odd = {a.im + b.im, b.re - a.re};
    const complex_t turned = multiply(odd, frontend_split_twiddles[k]);
    const complex_t low = add(even, turned), high = subtract(even, turned);
    power[k] = fmaf(low.re, low.re, low.im * low.im);
    power[FRONTEND_HALF - k] = fmaf(high.re, high.re, high.im * high.im);
  }
}

float *frontend_power(complex_t *frame, complex_t *scratch) {
  complex_t *x = frame, *y = scratch;
  size_t m = FRONTEND_HALF, stride = 1;
  for (const uint8_t *radix = frontend_radices; *radix; radix++) {
    m /= *radix;
    switch (*radix) {
      case 2: stage(x, y, 2, butterfly2, m, stride); break;
      case 3: stage(x, y, 3, butterfly3, m, stride); break;
      case 4: stage(x, y, 4, butterfly4, m, stride); break;
      default: stage(x, y, 5, butterfly5, m, stride); break;
    }
    stride *= *radix;
    complex_t *const other = x;
    x = y;
    y = other;
  }
  split(x, (float *)y);
  return (float *)y;
}
