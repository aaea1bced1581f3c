/* SPDX-License-Identifier: Apache-2.0 */
/* Real FFT to power spectrum in 32-bit integers: the same mixed-radix transform as firmware/frontend/fft.c.
 *
 * A stage of radix r splits each of `stride` interleaved transforms of r * m points: with w = exp(-2 pi i / (r m)),
 *   y[q + stride (r p + j)] = w^(p j) sum_k x[q + stride (p + m k)] exp(-2 pi i j k / r) / 4,   p < m, q < stride, j < r.
 * A stage divides by 4, whatever its radix: twiddles are in 2^30 and of their products the high word is kept. The
 * generator proves that no intermediate value of a frame normalised to FRONTEND_FIXED_PEAK bits leaves 32 bits. */
#include "frontend_fixed_tables.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

typedef fixed_complex complex_t;

ALWAYS_INLINE complex_t add(complex_t a, complex_t b) { return (complex_t){a.re + b.re, a.im + b.im}; }

ALWAYS_INLINE complex_t subtract(complex_t a, complex_t b) { return (complex_t){a.re - b.re, a.im - b.im}; }

/* a b / 2^32; the real part from two high words, which spares negating b.im. */
ALWAYS_INLINE complex_t multiply(complex_t a, complex_t b) {
  return (complex_t){high_product(a.re, b.re) - high_product(a.im, b.im),
                     (int32_t)(((int64_t)a.re * b.im + (int64_t)a.im * b.re) >> 32)};
}

ALWAYS_INLINE complex_t quarter(complex_t a) { return (complex_t){a.re >> 2, a.im >> 2}; }

/* (s a + t b) / 2^31 */
ALWAYS_INLINE complex_t combined(int32_t s, complex_t a, int32_t t, complex_t b) {
  return (complex_t){(int32_t)(((int64_t)s * a.re + (int64_t)t * b.re) >> 32) * 2,
                     (int32_t)(((int64_t)s * a.im + (int64_t)t * b.im) >> 32) * 2};
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
  const int32_t sine = 1859775393; /* sin(2 pi / 3), 2^31 */
  const complex_t sum = add(v.b, v.c), difference = subtract(v.b, v.c);
  const complex_t middle = {v.a.re - (sum.re >> 1), v.a.im - (sum.im >> 1)};
  const complex_t turned = {high_product(sine, difference.re) * 2, high_product(sine, difference.im) * 2};
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
  const int32_t cos1 = 663608942, cos2 = -1737350766; /* cos(2 pi / 5), cos(4 pi / 5), 2^31 */
  const int32_t sin1 = 2042378317, sin2 = 1262259218;
  const complex_t sum1 = add(v.b, v.e), difference1 = subtract(v.b, v.e);
  const complex_t sum2 = add(v.c, v.d), difference2 = subtract(v.c, v.d);
  const complex_t middle1 = add(v.a, combined(cos1, sum1, cos2, sum2));
  const complex_t middle2 = add(v.a, combined(cos2, sum1, cos1, sum2));
  const complex_t turned1 = combined(sin1, difference1, sin2, difference2);
  const complex_t turned2 = combined(sin2, difference1, -sin1, difference2);
  v.a = add(v.a, add(sum1, sum2));
  v.b = minus_i(middle1, turned1);
  v.c = minus_i(middle2, turned2);
  v.d = plus_i(middle2, turned2);
  v.e = plus_i(middle1, turned1);
  return v;
}

/* Entries 0, step, 2 step, ... of x. */
ALWAYS_INLINE points gather(const complex_t *x, size_t step, const int r) {
  points v = {x[0], x[step], {0, 0}, {0, 0}, {0, 0}};
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

ALWAYS_INLINE points quarters(points v, const int r) {
  v.a = quarter(v.a);
  v.b = quarter(v.b);
  if (r > 2) v.c = quarter(v.c);
  if (r > 3) v.d = quarter(v.d);
  if (r > 4) v.e = quarter(v.e);
  return v;
}

ALWAYS_INLINE points twiddle(points v, points w, const int r) {
  v.a = quarter(v.a);
  v.b = multiply(v.b, w.b);
  if (r > 2) v.c = multiply(v.c, w.c);
  if (r > 3) v.d = multiply(v.d, w.d);
  if (r > 4) v.e = multiply(v.e, w.e);
  return v;
}

/* Inlined once for each radix, so that r and the butterfly are constants. Twiddles of p = 0 are 1. */
ALWAYS_INLINE void stage(const complex_t *x, complex_t *y, const int r, butterfly *turn, size_t m, size_t stride) {
  const size_t part = m * stride;
  for (size_t q = 0; q < stride; q++, x++, y++) scatter(quarters(turn(gather(x, part, r)), r), y, stride, r);
  for (size_t p = 1; p < m; p++) {
    const points w = gather(frontend_fixed_twiddles, stride * p, r);
    y += (size_t)(r - 1) * stride;
    for (size_t q = 0; q < stride; q++, x++, y++) scatter(twiddle(turn(gather(x, part, r)), w, r), y, stride, r);
  }
}

static uint64_t power(complex_t a) { return (uint64_t)((int64_t)a.re * a.re + (int64_t)a.im * a.im); }

/* The power of bins k and FRONTEND_HALF - k, from z = even samples + i odd samples:
 * 2 X[k] = E + w^k O, 2 X[FRONTEND_HALF - k] = conj(E - w^k O), with E and O twice the spectra of the even and odd samples. */
static void split(const complex_t *z, uint64_t *out) {
  out[0] = power((complex_t){(z[0].re + z[0].im) >> 1, 0});
  out[FRONTEND_HALF] = power((complex_t){(z[0].re - z[0].im) >> 1, 0});
  for (size_t k = 1; k <= FRONTEND_HALF / 2; k++) {
    const complex_t a = z[k], b = z[FRONTEND_HALF - k];
    const complex_t even = quarter((complex_t){a.re + b.re, a.im - b.im});
    const complex_t odd = multiply((complex_t){a.im + b.im, b.re - a.re}, frontend_fixed_split[k]);
    out[k] = power(add(even, odd));
    out[FRONTEND_HALF - k] = power(subtract(even, odd));
  }
}

const uint64_t *frontend_fixed_power(fixed_buffer *frame, fixed_buffer *scratch) {
  fixed_buffer *x = frame, *y = scratch;
  size_t m = FRONTEND_HALF, stride = 1;
  for (const uint8_t *radix = frontend_fixed_radices; *radix; radix++) {
    m /= *radix;
    switch (*radix) {
      case 2: stage(x->points, y->points, 2, butterfly2, m, stride); break;
      case 3: stage(x->points, y->points, 3, butterfly3, m, stride); break;
      case 4: stage(x->points, y->points, 4, butterfly4, m, stride); break;
      default: stage(x->points, y->points, 5, butterfly5, m, stride); break;
    }
    stride *= *radix;
    fixed_buffer *const other = x;
    x = y;
    y = other;
  }
  split(x->points, y->power);
  return y->power;
}
