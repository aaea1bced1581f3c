/* SPDX-License-Identifier: Apache-2.0 */
/* Real FFT to power spectrum: a mixed-radix complex FFT of half the size, self-sorting (Stockham), then the split step.
 *
 * A stage of radix r splits each of `stride` interleaved transforms of r * m points: with w = exp(-2 pi i / (r m)),
 *   y[q + stride (r p + j)] = w^(p j) sum_k x[q + stride (p + m k)] exp(-2 pi i j k / r),   p < m, q < stride, j < r.
 * In terms of the one table, w^(p j) = twiddles[stride p j]. Twiddles of p = 0 are 1 and skipped, which leaves the
 * last stage (m = 1) without any. fmaf is written out where fusing is wanted, so every compiler rounds alike. */
#include "fp.h"

#include "frontend_tables.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

typedef frontend_complex complex_t;

ALWAYS_INLINE complex_t add(complex_t a, complex_t b) { return (complex_t){a.re + b.re, a.im + b.im}; }

ALWAYS_INLINE complex_t subtract(complex_t a, complex_t b) { return (complex_t){a.re - b.re, a.im - b.im}; }

ALWAYS_INLINE complex_t multiply(complex_t a, complex_t b) {
  return (complex_t){fmaf(a.re, b.re, -(a.im * b.im)), fmaf(a.re, b.im, a.im * b.re)};
}

/* a + s b */
ALWAYS_INLINE complex_t scaled(complex_t a, float s, complex_t b) {
  return (complex_t){fmaf(s, b.re, a.re), fmaf(s, b.im, a.im)};
}

/* a - i b and a + i b */
ALWAYS_INLINE complex_t minus_i(complex_t a, complex_t b) { return (complex_t){a.re + b.im, a.im - b.re}; }

ALWAYS_INLINE complex_t plus_i(complex_t a, complex_t b) { return (complex_t){a.re - b.im, a.im + b.re}; }

/* What one butterfly takes and gives; a radix of r uses the first r. Structs, not arrays: they live in registers. */
typedef struct {
  complex_t a, b, c, d, e;
} points;

typedef points butterfly(points v);

ALWAYS_INLINE points butterfly2(points v) {
  const complex_t a = v.a, b = v.b;
  v.a = add(a, b);
  v.b = subtract(a, b);
  return v;
}

ALWAYS_INLINE points butterfly3(points v) {
  const float sine = 0.866025404f; /* sin(2 pi / 3) */
  const complex_t sum = add(v.b, v.c), difference = subtract(v.b, v.c);
  const complex_t middle = scaled(v.a, -0.5f, sum);
  const complex_t turned = {sine * difference.re, sine * difference.im};
  v.a = add(v.a, sum);
  v.b = minus_i(middle, turned);
  v.c = plus_i(middle, turned);
  return v;
}

ALWAYS_INLINE points butterfly4(points v) {
  const complex_t a = add(v.a, v.c), b = subtract(v.a, v.c);
  const complex_t c = add(v.b, v.d), d = subtract(v.b, v.d);
  v.a = add(a, c);
  v.b = minus_i(b, d);
  v.c = subtract(a, c);
  v.d = plus_i(b, d);
  return v;
}

ALWAYS_INLINE points butterfly5(points v) {
  const float cos1 = 0.309016994f, cos2 = -0.809016994f; /* cos(2 pi / 5), cos(4 pi / 5) */
  const float sin1 = 0.951056516f, sin2 = 0.587785252f;
  const complex_t sum1 = add(v.b, v.e), difference1 = subtract(v.b, v.e);
  const complex_t sum2 = add(v.c, v.d), difference2 = subtract(v.c, v.d);
  const complex_t middle1 = scaled(scaled(v.a, cos1, sum1), cos2, sum2);
  const complex_t middle2 = scaled(scaled(v.a, cos2, sum1), cos1, sum2);
  const complex_t turned1 = scaled((complex_t){sin1 * difference1.re, sin1 * difference1.im}, sin2, difference2);
  const complex_t turned2 = scaled((complex_t){sin2 * difference1.re, sin2 * difference1.im}, -sin1, difference2);
  v.a = add(v.a, add(sum1, sum2));
  v.b = minus_i(middle1, turned1);
  v.c = minus_i(middle2, turned2);
  v.d = plus_i(middle2, turned2);
  v.e = plus_i(middle1, turned1);
  return v;
}

/* Entries 0, step, 2 step, ... of x. */
ALWAYS_INLINE points gather(const complex_t *x, size_t step, const int r) {
  points v = {x[0], x[step], {0.0f, 0.0f}, {0.0f, 0.0f}, {0.0f, 0.0f}};
  if (r > 2) v.c = x[2 * step];
  if (r > 3) v.d = x[3 * step];
  if (r > 4) v.e = x[4 * step];
  return v;
}

ALWAYS_INLINE void scatter(points v, complex_t *y, size_t step, const int r) {
  y[0] = v.a;
  y[step] = v.b;
  if (r > 2) y[2 * step] = v.c;
  if (r > 3) y[3 * step] = v.d;
  if (r > 4) y[4 * step] = v.e;
}

ALWAYS_INLINE points twiddle(points v, points w, const int r) {
  v.b = multiply(v.b, w.b);
  if (r > 2) v.c = multiply(v.c, w.c);
  if (r > 3) v.d = multiply(v.d, w.d);
  if (r > 4) v.e = multiply(v.e, w.e);
  return v;
}

/* Inlined once for each radix, so that r and the butterfly are constants. */
ALWAYS_INLINE void stage(const complex_t *x, complex_t *y, const int r, butterfly *turn, size_t m, size_t stride) {
  const size_t part = m * stride;
  for (size_t q = 0; q < stride; q++, x++, y++) scatter(turn(gather(x, part, r)), y, stride, r);
  for (size_t p = 1; p < m; p++) {
    const points w = gather(frontend_twiddles, stride * p, r);
    y += (size_t)(r - 1) * stride;
    for (size_t q = 0; q < stride; q++, x++, y++) scatter(twiddle(turn(gather(x, part, r)), w, r), y, stride, r);
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
