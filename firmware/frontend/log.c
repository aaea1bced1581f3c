/* SPDX-License-Identifier: Apache-2.0 */
/* x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)); log x = e ln 2 + f P(f), P of degree 7.
 * f P(f) is the minimax fit of log(1 + f), 3.4e-8 off; with its roundings 1.13e-7 beyond half an ulp of the result. */
#include "fpu.h"

#include "frontend_tables.h"

/* clang-format off */
#define LOGARITHM                                                                                        \
  LOAD_AT(setup, 29, 31) /* ln 2, 1, the offset */                                                       \
  DO(1)                                                                                                  \
  LOAD_1(in, 0) ADD(0, 0, 31) GET(bits, 0) INT_SUB(exponent, bits, least) INT_ASR(exponent, exponent, 23) \
  INT_SUB_SHIFTED(bits, exponent, 23) SET(0, bits) FROM_INT(1, exponent) SUB(0, 0, 30)                   \
  LOAD_AT(p, 8, 15) /* anew, as each is summed into */                                                   \
  FMA(9, 8, 0) FMA(10, 9, 0) FMA(11, 10, 0) FMA(12, 11, 0) FMA(13, 12, 0) FMA(14, 13, 0) FMA(15, 14, 0)  \
  MUL(2, 0, 15) FMA(2, 1, 29) STORE_1(out, 2)                                                           \
  TIMES_LEFT(1, count)
/* clang-format on */

void frontend_log(float *values, uint32_t count, float offset) {
  static const float polynomial[8] = {-0.10102237f,  0.164199904f, -0.173334658f, 0.198730469f,
                                      -0.249593437f, 0.333361834f, -0.500006676f, 0.999999821f};
  const float constants[3] = {0.693147182f, 1.0f, offset}, *setup = constants, *p = polynomial, *in = values;
  float *out = values;
  uint32_t least = 0x3f3504f3u; /* sqrt(1/2) */
  uint32_t bits = 0, exponent = 0;
  FPU_REGISTERS;
  RUN(LOGARITHM, RW(setup), RW(p), RW(in), RW(out), RW(least), RW(bits), RW(exponent), RW(count));
  (void)out;
}
