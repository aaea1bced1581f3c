/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels.h"
#include "linear.h"

static void words(const weighted_sum_s8_params *p, const int8_t *input1, const int8_t *input2, int8_t *output,
                  int32_t count) {
  const uint32_t w1 = (uint32_t)p->weight1, w2 = (uint32_t)p->weight2, mask = linear_mask();
  const int32_t bias = p->bias, bounded = p->bounded;
  const uint32_t low = (uint8_t)p->activation_min * 0x01010101u, high = (uint8_t)p->activation_max * 0x01010101u;
  for (const int8_t *end = output + 4 * count; output != end; input1 += 4, input2 += 4, output += 4) {
    const uint32_t a = read_word(input1), b = read_word(input2);
    const uint32_t even_a = linear_even(a, mask), odd_a = linear_odd(a, mask), even_b = linear_even(b, mask),
                   odd_b = linear_odd(b, mask);
    uint32_t word =
        linear_word(smlawb(w2, even_b, smlawb(w1, even_a, bias)), smlawb(w2, odd_b, smlawb(w1, odd_a, bias)),
                    smlawt(w2, even_b, smlawt(w1, even_a, bias)), smlawt(w2, odd_b, smlawt(w1, odd_a, bias)));
    if (bounded) word = min_s8x4(max_s8x4(word, low), high);
    write_word(output, word);
  }
}

void weighted_sum_s8(const weighted_sum_s8_params *p, const int8_t *input1, const int8_t *input2, int8_t *output) {
  const int32_t count = p->elements / 4;
  const size_t rest = (size_t)p->elements & 3;
  uint32_t a = 0, b = 0;
  words(p, input1, input2, output, count);
  memcpy(&a, input1 + 4 * count, rest);
  memcpy(&b, input2 + 4 * count, rest);
  words(p, (const int8_t *)&a, (const int8_t *)&b, (int8_t *)&a, 1);
  memcpy(output + 4 * count, &a, rest);
}
