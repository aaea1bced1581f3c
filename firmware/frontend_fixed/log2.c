/* SPDX-License-Identifier: Apache-2.0 */
/* x = 2^e m with m in [1, 2). The first five bits of m choose a c near the middle of their interval; r = m / c - 1 lies
 * within 1/64, and log2 m = log2 c + (r - r^2/2 + r^3/3) / ln 2.
 * Error before the last rounding: r^4 / (4 ln 2) <= 2.2e-8 of the series left out, 3e-9 of the products' truncation;
 * the rounding to 2^-24 adds 3.0e-8. Together less than 0.9 of 2^-24 (tests/firmware/test_frontend_fixed.py measures
 * it). */
#include "frontend_fixed_tables.h"

/* 1 / c in 2^32 (rounded to that), and log2 c in 2^31. */
static const struct {
  uint32_t reciprocal, log2;
} table[32] = {
    {4228890876u, 48034513u},   {4102655328u, 141925455u},  {3983737782u, 233054496u},  {3871519816u, 321579491u},
    {3765450780u, 407645136u},  {3665038759u, 491384396u},  {3569842947u, 572919734u},  {3479467177u, 652364189u},
    {3393554407u, 729822324u},  {3311782011u, 805391047u},  {3233857729u, 879160341u},  {3159516172u, 951213914u},
    {3088515808u, 1021629764u}, {3020636340u, 1090480686u}, {2955676419u, 1157834730u}, {2893451652u, 1223755601u},
    {2833792855u, 1288303019u}, {2776544515u, 1351533050u}, {2721563435u, 1413498396u}, {2668717543u, 1474248657u},
    {2617884828u, 1533830570u}, {2568952401u, 1592288229u}, {2521815660u, 1649663276u}, {2476377540u, 1705995083u},
    {2432547849u, 1761320910u}, {2390242669u, 1815676059u}, {2349383820u, 1869094003u}, {2309898378u, 1921606514u},
    {2271718239u, 1973243777u}, {2234779731u, 2024034489u}, {2199023256u, 2074005958u}, {2164392968u, 2123184198u},
};

static int leading_zeros(uint32_t x) {
#if defined(__GNUC__)
  return __builtin_clz(x);
#else
  int count = 0;
  for (; !(x >> 31); x <<= 1) count++;
  return count;
#endif
}

int32_t frontend_fixed_log2(uint64_t x) {
  int32_t exponent = 63;
  uint32_t mantissa = (uint32_t)(x >> 32), rest = (uint32_t)x;
  if (!mantissa) {
    mantissa = rest;
    rest = 0;
    exponent -= 32;
  }
  const int shift = leading_zeros(mantissa);
  exponent -= shift;
  if (shift) mantissa = mantissa << shift | rest >> (32 - shift);

  const unsigned index = mantissa >> 26 & 31;
  const uint32_t near_one = (uint32_t)((uint64_t)mantissa * table[index].reciprocal >> 32); /* m / c in 2^31 */
  const int32_t z = (int32_t)(near_one - 0x80000000u) * 32; /* 64 r in 2^30 */
  /* 1 / (64 ln 2) in 2^36, -1 / (2 * 64^2 ln 2) in 2^38, 1 / (3 * 64^3 ln 2) in 2^40 */
  const int32_t slope = 1549082005 + high_product(z, -48408813 + high_product(z, 2017034)); /* z slope: in 2^34 */
  const uint32_t fraction = table[index].log2 + (uint32_t)(high_product(z, slope) >> 3);
  return (int32_t)((uint32_t)exponent << 24) + (int32_t)((fraction + 64) >> 7);
}
