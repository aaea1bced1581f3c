/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels.h"
#include "linear.h"

static void words(const rescale_s8_params *p, const int8_t *input, int8_t *output, int32_t count) {
  const uint32_t weight = (uint32_t)p->weight, mask = linear_mask();
  const int32_t bias = p->bias, bounded = p->bounded;
  const uint32_t low = (uint8_t)p->activation_min * 0x01010101u, high = (uint8_t)p->activation_max * 0x01010101u;
  for (const int8_t *end = output + 4 * count; output != end; input += 4, output += 4) {
    const uint32_t x = read_word(input), even = linear_even(x, mask), odd = linear_odd(x, mask);
    uint32_t word = linear_word(smlawb(weight, even, bias), smlawb(weight, odd, bias), smlawt(weight, even, bias),
                                smlawt(weight, odd, bias));
    if (bounded) word = min_s8x4(max_s8x4(word, low), high);
    write_word(output, word);
  }
}

void rescale_s8(const rescale_s8_params *p, const int8_t *input, int8_t *output) {
  const int32_t count = p->elements / 4;
  const size_t rest = (size_t)p->elements & 3;
  uint32_t x = 0;
  words(p, input, output, count);
  memcpy(&x, input + 4 * count, rest);
  words(p, (const int8_t *)&x, (int8_t *)&x, 1);
  memcpy(output + 4 * count, &x, rest);
}
