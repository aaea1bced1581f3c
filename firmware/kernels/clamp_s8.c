/* SPDX-License-Identifier: Apache-2.0 */
#include "dsp.h"
#include "kernels.h"

void clamp_s8(const clamp_s8_params *p, const int8_t *input, int8_t *output) {
  const uint32_t low = (uint8_t)p->activation_min * 0x01010101u, high = (uint8_t)p->activation_max * 0x01010101u;
  const int32_t rest = p->elements & 3;
  const int8_t *end = output + (p->elements - rest);
  for (; output != end; input += 4, output += 4) write_word(output, min_s8x4(max_s8x4(read_word(input), low), high));
  uint32_t x = 0;
  memcpy(&x, input, (size_t)rest);
  x = min_s8x4(max_s8x4(x, low), high);
  memcpy(output, &x, (size_t)rest);
}
