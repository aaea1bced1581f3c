/* SPDX-License-Identifier: Apache-2.0 */
/* Real FFT to power spectrum in 32-bit integers: the same mixed-radix transform as firmware/frontend/fft.c.
 *
 * A stage of radix r splits each of `stride` interleaved transforms of r * m points: with w = exp(-2 pi i / (r m)),
 *   y[q + stride (r p + j)] = w^(p j) sum_k x[q + stride (p + m k)] exp(-2 pi i j k / r) / 4; p < m, q < stride, j < r.
 * A stage divides by 4, whatever its radix: twiddles are in 2^30 and of their products the high word is kept. The
 * generator proves that no intermediate value of a frame normalised to FRONTEND_FIXED_PEAK bits leaves 32 bits. */
#include "frontend_fixed_tables.h"

#define INLINE static inline __attribute__((always_inline))

typedef fixed_complex complex_t;

INLINE complex_t add(complex_t a, complex_t b) { return (complex_t){a.re + b.re, a.im + b.im}; }

INLINE complex_t subtract(complex_t a, complex_t b) { return (complex_t){a.re - b.re, a.im - b.im}; }

/* a b / 2^32; the real part from two high words, which spares negating b.im. */
INLINE complex_t multiply(complex_t a, complex_t b) {
  return (complex_t){high_product(a.re, b.re) - high_product(a.im, b.im),
                     (int32_t)(((int64_t)a.re * b.im + (int64_t)a.im * b.re) >> 32)};
}

INLINE complex_t quarter(complex_t a) { return (complex_t){a.re >> 2, a.im >> 2}; }

/* a s / 2^31 */
INLINE complex_t scaled(complex_t a, int32_t s) {
  return (complex_t){high_product(a.re, s) * 2, high_product(a.im, s) * 2};
}

/* (a s + b t) / 2^31 */
INLINE complex_t combined(complex_t a, int32_t s, complex_t b, int32_t t) {
  return (complex_t){(int32_t)(((int64_t)a.re * s + (int64_t)b.re * t) >> 32) * 2,
                     (int32_t)(((int64_t)a.im * s + (int64_t)b.im * t) >> 32) * 2};
}

/* a - i b and a + i b */
INLINE complex_t minus_i(complex_t a, complex_t b) { return (complex_t){a.re + b.im, a.im - b.re}; }

INLINE complex_t plus_i(complex_t a, complex_t b) { return (complex_t){a.re - b.im, a.im + b.re}; }

/* What one butterfly takes and gives; a radix of r uses the first r. Structs, not arrays: they live in registers. */
typedef struct {
  complex_t a, b, c, d, e;
} points;

typedef points butterfly(points v);

INLINE points butterfly2(points v) {
  const complex_t a = v.a, b = v.b;
  v.a = add(a, b);
  v.b = subtract(a, b);
  return v;
}

INLINE points butterfly3(points v) {
  const int32_t sine = 1859775393; /* sin(2 pi / 3), 2^31 */
  const complex_t sum = add(v.b, v.c), difference = subtract(v.b, v.c);
  const complex_t middle = {v.a.re - (sum.re >> 1), v.a.im - (sum.im >> 1)};
  const complex_t turned = scaled(difference, sine);
  v.a = add(v.a, sum);
  v.b = minus_i(middle, turned);
  v.c = plus_i(middle, turned);
  return v;
}

INLINE points butterfly4(points v) {
  const complex_t a = add(v.a, v.c), b = subtract(v.a, v.c);
  const complex_t c = add(v.b, v.d), d = subtract(v.b, v.d);
  v.a = add(a, c);
  v.b = minus_i(b, d);
  v.c = subtract(a, c);
  v.d = plus_i(b, d);
  return v;
}

/* With c1, c2 = cos(2 pi / 5), cos(4 pi / 5): c1 + c2 = -1/2 and c1 - c2 = sqrt(5) / 2, so a + c1 u + c2 v and
 * a + c2 u + c1 v are a - (u + v) / 4 +- sqrt(5) / 4 (u - v). */
INLINE points butterfly5(points v) {
  /* sqrt(5) / 4, sin(2 pi / 5), sin(4 pi / 5), 2^31 */
  const int32_t root = 1200479854, sin1 = 2042378317, sin2 = 1262259218;
  const complex_t sum1 = add(v.b, v.e), difference1 = subtract(v.b, v.e);
  const complex_t sum2 = add(v.c, v.d), difference2 = subtract(v.c, v.d);
  const complex_t sum = add(sum1, sum2), apart = scaled(subtract(sum1, sum2), root);
  const complex_t middle = subtract(v.a, quarter(sum)), middle1 = add(middle, apart), middle2 = subtract(middle, apart);
  const complex_t turned1 = combined(difference1, sin1, difference2, sin2);
  const complex_t turned2 = combined(difference1, sin2, difference2, -sin1);
  v.a = add(v.a, sum);
  v.b = minus_i(middle1, turned1);
  v.c = minus_i(middle2, turned2);
  v.d = plus_i(middle2, turned2);
  v.e = plus_i(middle1, turned1);
  return v;
}

/* By parts: of a copied struct the compiler makes a copy in memory. */
INLINE complex_t load(const complex_t *x) { return (complex_t){x->re, x->im}; }

INLINE void store(complex_t *y, complex_t value) {
  y->re = value.re;
  y->im = value.im;
}

/* Entries 0, step, 2 step, ... of x. */
INLINE points gather(const complex_t *x, const size_t step, const int r) {
  points v = {load(x), load(x + step), {0, 0}, {0, 0}, {0, 0}};
  if (r > 2) v.c = load(x + 2 * step);
  if (r > 3) v.d = load(x + 3 * step);
  if (r > 4) v.e = load(x + 4 * step);
  return v;
}

/* Inlined once for every stage, so that all but the pointers are constants. Returns the twiddles of the next one. */
INLINE const complex_t *stage(const complex_t *x, complex_t *y, const complex_t *w, butterfly *turn, const int r,
                              const size_t m, const size_t stride) {
  const size_t part = m * stride;
  for (size_t q = 0; q < stride; q++, x++, y++) {
    const points v = turn(gather(x, part, r));
    store(y, quarter(v.a));
    store(y + stride, quarter(v.b));
    if (r > 2) store(y + 2 * stride, quarter(v.c));
    if (r > 3) store(y + 3 * stride, quarter(v.d));
    if (r > 4) store(y + 4 * stride, quarter(v.e));
  }
  for (size_t p = 1; p < m; p++, w += r - 1) {
    y += (size_t)(r - 1) * stride;
    for (size_t q = 0; q < stride; q++, x++, y++) {
      const points v = turn(gather(x, part, r));
      store(y, quarter(v.a));
      store(y + stride, multiply(v.b, load(w)));
      if (r > 2) store(y + 2 * stride, multiply(v.c, load(w + 1)));
      if (r > 3) store(y + 3 * stride, multiply(v.d, load(w + 2)));
      if (r > 4) store(y + 4 * stride, multiply(v.e, load(w + 3)));
    }
  }
  return w;
}

static uint64_t power(complex_t a) { return (uint64_t)((int64_t)a.re * a.re + (int64_t)a.im * a.im); }

/* The power of bins k and FRONTEND_HALF - k, from z = even samples + i odd samples:
 * 2 X[k] = E + w^k O, 2 X[FRONTEND_HALF - k] = conj(E - w^k O), with E and O twice the spectra of the even and odd
 * samples. */
static void split(const complex_t *z, uint64_t *out) {
  out[0] = power((complex_t){(z[0].re + z[0].im) >> 1, 0});
  out[FRONTEND_HALF] = power((complex_t){(z[0].re - z[0].im) >> 1, 0});
  for (size_t k = 1; k <= FRONTEND_HALF / 2; k++) {
    const complex_t a = load(z + k), b = load(z + FRONTEND_HALF - k);
    const complex_t even = quarter((complex_t){a.re + b.re, a.im - b.im});
    const complex_t odd = multiply((complex_t){a.im + b.im, b.re - a.re}, load(frontend_fixed_split + k));
    out[k] = power(add(even, odd));
    out[FRONTEND_HALF - k] = power(subtract(even, odd));
  }
}

const uint64_t *frontend_fixed_power(fixed_buffer *frame, fixed_buffer *scratch) {
  fixed_buffer *x = frame, *y = scratch, *other;
  const complex_t *w = frontend_fixed_twiddles;
#define STAGE(r, m, stride) w = stage(x->points, y->points, w, butterfly##r, r, m, stride), other = x, x = y, y = other;
  FRONTEND_FIXED_STAGES;
  (void)w;
  split(x->points, y->power);
  return y->power;
}
