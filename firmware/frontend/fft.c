/* SPDX-License-Identifier: Apache-2.0 */
/* Real FFT to power spectrum: a mixed-radix complex FFT of half the size, self-sorting (Stockham), then the split step.
 *
 * A stage of radix r splits each of `stride` interleaved transforms of r * m points: with w = exp(-2 pi i / (r m)),
 *   y[q + stride (r p + j)] = w^(p j) sum_k x[q + stride (p + m k)] exp(-2 pi i j k / r),   p < m, q < stride, j < r.
 * Twiddles of p = 0 are 1: the last stage (m = 1) has no others. frontend_twiddles holds, stage by stage and for p < m,
 * w^p, w^2p, ..., led for radices 3 and 5 by the constants of the butterfly. Two neighbours q fill the registers. */
#include "fpu.h"

#include "frontend_tables.h"

/* to = (r + i im) (wr + i wi) */
#define TURN(to_r, to_i, r, i, wr, wi) MUL(to_r, r, wr) FMS(to_r, i, wi) MUL(to_i, r, wi) FMA(to_i, i, wr)

/* clang-format off */
#define SUMS_4(ar, ai, br, bi, cr, ci, dr, di)                        \
  ADD(16, ar, cr) ADD(17, ai, ci) SUB(18, ar, cr) SUB(19, ai, ci)     \
  ADD(20, br, dr) ADD(21, bi, di) SUB(22, br, dr) SUB(23, bi, di)
/* in place */
#define BUTTERFLY_4(ar, ai, br, bi, cr, ci, dr, di)                   \
  SUMS_4(ar, ai, br, bi, cr, ci, dr, di)                              \
  ADD(ar, 16, 20) ADD(ai, 17, 21) SUB(cr, 16, 20) SUB(ci, 17, 21)     \
  ADD(br, 18, 23) SUB(bi, 19, 22) SUB(dr, 18, 23) ADD(di, 19, 22)
/* in place and times the twiddles 24 to 29 */
#define TURNED_4(ar, ai, br, bi, cr, ci, dr, di)                      \
  SUMS_4(ar, ai, br, bi, cr, ci, dr, di)                              \
  ADD(ar, 16, 20) ADD(ai, 17, 21) SUB(16, 16, 20) SUB(17, 17, 21)     \
  ADD(20, 18, 23) SUB(21, 19, 22) SUB(18, 18, 23) ADD(19, 19, 22)     \
  TURN(br, bi, 20, 21, 24, 25) TURN(cr, ci, 16, 17, 26, 27) TURN(dr, di, 18, 19, 28, 29)

#define LOAD_4 LOAD(x0, 0, 3) LOAD(x1, 4, 7) LOAD(x2, 8, 11) LOAD(x3, 12, 15)
#define STORE_4 STORE(y0, 0, 3) STORE(y1, 4, 7) STORE(y2, 8, 11) STORE(y3, 12, 15)
#define PLAIN_4                                                                                    \
  DO(1) LOAD_4 BUTTERFLY_4(0, 1, 4, 5, 8, 9, 12, 13) BUTTERFLY_4(2, 3, 6, 7, 10, 11, 14, 15) STORE_4 TIMES_LEFT(1, n)
#define TWIDDLED_4                                                                                 \
  LOAD(w, 24, 29)                                                                                  \
  DO(1) LOAD_4 TURNED_4(0, 1, 4, 5, 8, 9, 12, 13) TURNED_4(2, 3, 6, 7, 10, 11, 14, 15) STORE_4 TIMES_LEFT(1, n)

/* The first stage: stride 1, twiddles of its own for each p. The butterfly ends with its sums given; where the window
 * is shorter than the FFT, d and then c are 0 and not read. */
#define END_4(ar, ai, br, bi, cr, ci, dr, di)                                                      \
  ADD(8, ar, cr) ADD(9, ai, ci) SUB(16, ar, cr) SUB(17, ai, ci)                                    \
  ADD(20, br, di) SUB(21, bi, dr) SUB(18, br, di) ADD(19, bi, dr)                                  \
  TURN(10, 11, 20, 21, 24, 25) TURN(12, 13, 16, 17, 26, 27) TURN(14, 15, 18, 19, 28, 29)           \
  STORE(y, 8, 15) TIMES_LEFT(1, n)
#define FIRST_4_OF_4                                                                               \
  DO(1) LOAD(w, 24, 29) LOAD(x0, 0, 1) LOAD(x1, 2, 3) LOAD(x2, 4, 5) LOAD(x3, 6, 7)                \
  SUMS_4(0, 1, 2, 3, 4, 5, 6, 7) END_4(16, 17, 18, 19, 20, 21, 22, 23)
#define FIRST_4_OF_3                                                                               \
  DO(1) LOAD(w, 24, 29) LOAD(x0, 0, 1) LOAD(x1, 2, 3) LOAD(x2, 4, 5)                               \
  ADD(16, 0, 4) ADD(17, 1, 5) SUB(18, 0, 4) SUB(19, 1, 5) END_4(16, 17, 18, 19, 2, 3, 2, 3)
#define FIRST_4_OF_2                                                                               \
  DO(1) LOAD(w, 24, 29) LOAD(x0, 0, 1) LOAD(x1, 2, 3) END_4(0, 1, 0, 1, 2, 3, 2, 3)
/* clang-format on */

static const float *first_4(const float *x, float *y, const float *w) {
  enum {
    PART = FRONTEND_HALF / 4,
    FILLED = FRONTEND_HALF % 4 ? 4 * PART : FRONTEND_FILLED / 2, /* at least half */
    OF_4 = FILLED > 3 * PART ? FILLED - 3 * PART : 0,
    OF_3 = (FILLED < 3 * PART ? FILLED : 3 * PART) - 2 * PART - OF_4
  };
  const float *x0 = x, *x1 = x0 + 2 * PART, *x2 = x1 + 2 * PART, *x3 = x2 + 2 * PART;
  uint32_t n = OF_4;
  FPU_REGISTERS;
  if (n) RUN(FIRST_4_OF_4, RW(x0), RW(x1), RW(x2), RW(x3), RW(y), RW(w), RW(n));
  n = OF_3;
  if (n) RUN(FIRST_4_OF_3, RW(x0), RW(x1), RW(x2), RW(y), RW(w), RW(n));
  n = PART - OF_4 - OF_3;
  if (n) RUN(FIRST_4_OF_2, RW(x0), RW(x1), RW(y), RW(w), RW(n));
  return w;
}

/* an even stride */
static const float *stage_4(const float *x, float *y, const float *w, uint32_t m, uint32_t stride) {
  const uint32_t part = 2 * m * stride;
  const float *x0 = x, *x1 = x0 + part, *x2 = x1 + part, *x3 = x2 + part;
  float *y3 = y;
  FPU_REGISTERS;
  for (uint32_t p = 0; p < m; p++) {
    uint32_t n = stride / 2;
    float *y0 = y3, *y1 = y0 + 2 * stride, *y2 = y1 + 2 * stride;
    y3 = y2 + 2 * stride;
    if (p) {
      RUN(TWIDDLED_4, RW(x0), RW(x1), RW(x2), RW(x3), RW(y0), RW(y1), RW(y2), RW(y3), RW(w), RW(n));
    } else {
      RUN(PLAIN_4, RW(x0), RW(x1), RW(x2), RW(x3), RW(y0), RW(y1), RW(y2), RW(y3), RW(n));
      w += 6;
    }
  }
  return w;
}

/* clang-format off */
#define SINGLE_2                                                                                   \
  LOAD(w, 24, 25)                                                                                  \
  DO(1) LOAD(x0, 0, 1) LOAD(x1, 4, 5)                                                              \
  ADD(8, 0, 4) ADD(9, 1, 5) SUB(0, 0, 4) SUB(1, 1, 5) TURN(12, 13, 0, 1, 24, 25)                   \
  STORE(y0, 8, 9) STORE(y1, 12, 13) TIMES_LEFT(1, n)
#define PAIRS_2                                                                                    \
  LOAD(w, 24, 25)                                                                                  \
  DO(1) LOAD(x0, 0, 3) LOAD(x1, 4, 7)                                                              \
  ADD(8, 0, 4) ADD(9, 1, 5) ADD(10, 2, 6) ADD(11, 3, 7) SUB(0, 0, 4) SUB(1, 1, 5) SUB(2, 2, 6) SUB(3, 3, 7) \
  TURN(12, 13, 0, 1, 24, 25) TURN(14, 15, 2, 3, 24, 25)                                            \
  STORE(y0, 8, 11) STORE(y1, 12, 15) TIMES_LEFT(1, n)
#define PLAIN_2                                                                                    \
  DO(1) LOAD(x0, 0, 3) LOAD(x1, 4, 7)                                                              \
  ADD(8, 0, 4) ADD(9, 1, 5) ADD(10, 2, 6) ADD(11, 3, 7) SUB(12, 0, 4) SUB(13, 1, 5) SUB(14, 2, 6) SUB(15, 3, 7) \
  STORE(y0, 8, 11) STORE(y1, 12, 15) TIMES_LEFT(1, n)
/* clang-format on */

static const float *stage_2(const float *x, float *y, const float *w, uint32_t m, uint32_t stride) {
  const float *x0 = x, *x1 = x0 + 2 * m * stride;
  float *y1 = y;
  FPU_REGISTERS;
  for (uint32_t p = 0; p < m; p++) {
    uint32_t n = stride / 2;
    float *y0 = y1;
    y1 = y0 + 2 * stride;
    if (stride % 2) {
      n = stride;
      RUN(SINGLE_2, RW(x0), RW(x1), RW(y0), RW(y1), RW(w), RW(n));
    } else if (p) {
      RUN(PAIRS_2, RW(x0), RW(x1), RW(y0), RW(y1), RW(w), RW(n));
    } else {
      RUN(PLAIN_2, RW(x0), RW(x1), RW(y0), RW(y1), RW(n));
      w += 2;
    }
  }
  return w;
}

/* 30: sin(2 pi / 3), 31: 1/2, 8 to 11: twiddles */
/* clang-format off */
#define SINGLE_3                                                                                   \
  LOAD(w, 30, 31) LOAD(w, 8, 11)                                                                   \
  DO(1) LOAD(x0, 0, 1) LOAD(x1, 2, 3) LOAD(x2, 4, 5)                                               \
  ADD(12, 2, 4) ADD(13, 3, 5) SUB(14, 2, 4) SUB(15, 3, 5) ADD(16, 0, 12) ADD(17, 1, 13)            \
  FMS(0, 12, 31) FMS(1, 13, 31) MUL(14, 14, 30) MUL(15, 15, 30)                                    \
  ADD(18, 0, 15) SUB(19, 1, 14) SUB(20, 0, 15) ADD(21, 1, 14)                                      \
  TURN(22, 23, 18, 19, 8, 9) TURN(24, 25, 20, 21, 10, 11)                                          \
  STORE(y0, 16, 17) STORE(y1, 22, 23) STORE(y2, 24, 25) TIMES_LEFT(1, n)
/* clang-format on */

static const float *stage_3(const float *x, float *y, const float *w, uint32_t m, uint32_t stride) {
  const uint32_t part = 2 * m * stride;
  const float *x0 = x, *x1 = x0 + part, *x2 = x1 + part;
  float *y2 = y;
  FPU_REGISTERS;
  for (uint32_t p = 0; p < m; p++) {
    uint32_t n = stride;
    float *y0 = y2, *y1 = y0 + 2 * stride;
    y2 = y1 + 2 * stride;
    RUN(SINGLE_3, RW(x0), RW(x1), RW(x2), RW(y0), RW(y1), RW(y2), RW(w), RW(n));
  }
  return w;
}

/* With c1, c2 = cos(2 pi / 5), cos(4 pi / 5): c1 + c2 = -1/2 and c1 - c2 = sqrt(5) / 2, so a + c1 u + c2 v and
 * a + c2 u + c1 v are a - (u + v) / 4 +- sqrt(5) / 4 (u - v). 28: 1/4, 29: sqrt(5) / 4, 30 and 31: sin(2 pi / 5), sin(4
 * pi / 5). In place, but for the order: outputs 0 to 4 are in d, e, c, a, b. */
/* clang-format off */
#define BUTTERFLY_5(ar, ai, br, bi, cr, ci, dr, di, er, ei)                                        \
  ADD(20, br, er) ADD(21, bi, ei) SUB(22, br, er) SUB(23, bi, ei)                                  \
  ADD(24, cr, dr) ADD(25, ci, di) SUB(26, cr, dr) SUB(27, ci, di)                                  \
  ADD(br, 20, 24) ADD(bi, 21, 25) SUB(cr, 20, 24) SUB(ci, 21, 25)                                  \
  ADD(dr, ar, br) ADD(di, ai, bi) FMS(ar, br, 28) FMS(ai, bi, 28) MUL(cr, cr, 29) MUL(ci, ci, 29)  \
  ADD(br, ar, cr) ADD(bi, ai, ci) SUB(ar, ar, cr) SUB(ai, ai, ci)                                  \
  MUL(20, 22, 30) FMA(20, 26, 31) MUL(21, 23, 30) FMA(21, 27, 31)                                  \
  MUL(24, 22, 31) FMS(24, 26, 30) MUL(25, 23, 31) FMS(25, 27, 30)                                  \
  ADD(er, br, 21) SUB(ei, bi, 20) SUB(br, br, 21) ADD(bi, bi, 20)                                  \
  ADD(cr, ar, 25) SUB(ci, ai, 24) SUB(ar, ar, 25) ADD(ai, ai, 24)

#define PLAIN_5                                                                                    \
  LOAD(w, 28, 31) COUNT_IN(w, n)                                                                   \
  DO(1) LOAD(x0, 0, 3) LOAD(x1, 4, 7) LOAD(x2, 8, 11) LOAD(x3, 12, 15) LOAD(x4, 16, 19)            \
  BUTTERFLY_5(0, 1, 4, 5, 8, 9, 12, 13, 16, 17) BUTTERFLY_5(2, 3, 6, 7, 10, 11, 14, 15, 18, 19)    \
  STORE(y0, 12, 15) STORE(y1, 16, 19) STORE(y2, 8, 11) STORE(y3, 0, 3) STORE(y4, 4, 7) TIMES_LEFT_IN(1, w, n)
#define SINGLE_5                                                                                   \
  LOAD(w, 28, 31) LOAD(w, 10, 17) COUNT_IN(w, n)                                                   \
  DO(1) LOAD(x0, 0, 1) LOAD(x1, 2, 3) LOAD(x2, 4, 5) LOAD(x3, 6, 7) LOAD(x4, 8, 9)                 \
  BUTTERFLY_5(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)                                                        \
  TURN(20, 21, 8, 9, 10, 11) TURN(22, 23, 4, 5, 12, 13) TURN(24, 25, 0, 1, 14, 15) TURN(26, 27, 2, 3, 16, 17) \
  STORE(y0, 6, 7) STORE(y1, 20, 21) STORE(y2, 22, 23) STORE(y3, 24, 25) STORE(y4, 26, 27) TIMES_LEFT_IN(1, w, n)
/* clang-format on */

static const float *stage_5(const float *x, float *y, const float *w, uint32_t m, uint32_t stride) {
  const uint32_t part = 2 * m * stride;
  const float *x0 = x, *x1 = x0 + part, *x2 = x1 + part, *x3 = x2 + part, *x4 = x3 + part;
  const float *next = w;
  float *y4 = y;
  FPU_REGISTERS;
  for (uint32_t p = 0; p < m; p++) {
    uint32_t n = p || stride % 2 ? stride : stride / 2;
    w = next;
    next += 12; /* four constants, four twiddles */
    float *y0 = y4, *y1 = y0 + 2 * stride, *y2 = y1 + 2 * stride, *y3 = y2 + 2 * stride;
    y4 = y3 + 2 * stride;
    if (p || stride % 2) {
      RUN_WITH(SINGLE_5, IN_MEMORY(n), RW(x0), RW(x1), RW(x2), RW(x3), RW(x4), RW(y0), RW(y1), RW(y2), RW(y3), RW(y4),
               RW(w));
    } else {
      RUN_WITH(PLAIN_5, IN_MEMORY(n), RW(x0), RW(x1), RW(x2), RW(x3), RW(x4), RW(y0), RW(y1), RW(y2), RW(y3), RW(y4),
               RW(w));
    }
  }
  return next;
}

/* The power of bins k and FRONTEND_HALF - k, from z = even samples + i odd samples, halved by the window:
 * X[k] = E + w^k O, X[FRONTEND_HALF - k] = conj(E - w^k O), with E and O the spectra of the even and odd samples.
 * 12, 13: E; 14, 15: O; then 16, 17: w^k O. */
/* clang-format off */
#define BINS(ar, ai, br, bi, wr, wi, low, high)                                                     \
  ADD(12, ar, br) SUB(13, ai, bi) ADD(14, ai, bi) SUB(15, br, ar) TURN(16, 17, 14, 15, wr, wi)      \
  ADD(18, 12, 16) ADD(19, 13, 17) SUB(12, 12, 16) SUB(13, 13, 17)                                   \
  MUL(low, 18, 18) FMA(low, 19, 19) MUL(high, 12, 12) FMA(high, 13, 13)
#define SPLIT                                                                                       \
  DO(1) LOAD(a, 0, 3) LOAD_BACK(b, 4, 7) LOAD(w, 8, 11)                                             \
  BINS(0, 1, 6, 7, 8, 9, 20, 23) BINS(2, 3, 4, 5, 10, 11, 21, 22)                                   \
  STORE(low, 20, 21) STORE_BACK(high, 22, 23) TIMES_LEFT(1, n)
/* clang-format on */

static void split(const float *z, float *power) {
  const float first = 2.0f * (z[0] + z[1]), last = 2.0f * (z[0] - z[1]);
  const float *a = z + 2, *b = z + 2 * FRONTEND_HALF, *w = frontend_split_twiddles;
  float *low = power + 1, *high = power + FRONTEND_HALF;
  uint32_t n = FRONTEND_SPLIT_PAIRS / 2; /* where FRONTEND_HALF / 2 is odd, two bins are computed twice */
  FPU_REGISTERS;
  if (n) RUN(SPLIT, RW(a), RW(b), RW(w), RW(low), RW(high), RW(n));
  power[0] = first * first;
  power[FRONTEND_HALF] = last * last;
}

float *frontend_power(float *frame, float *scratch) {
  float *x = frame, *y = scratch;
  const float *w = frontend_twiddles;
  uint32_t m = FRONTEND_HALF, stride = 1;
  for (const uint8_t *radix = frontend_radices; *radix; radix++) {
    m /= *radix;
    if (FRONTEND_HALF % 4 == 0 && *radix == 4) w = stride == 1 ? first_4(x, y, w) : stage_4(x, y, w, m, stride);
    if (FRONTEND_HAS_2 && *radix == 2) w = stage_2(x, y, w, m, stride);
    if (FRONTEND_HALF % 3 == 0 && *radix == 3) w = stage_3(x, y, w, m, stride);
    if (FRONTEND_HALF % 5 == 0 && *radix == 5) w = stage_5(x, y, w, m, stride);
    stride *= *radix;
    float *const other = x;
    x = y;
    y = other;
  }
  split(x, y);
  return y;
}
