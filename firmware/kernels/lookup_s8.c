/* SPDX-License-Identifier: Apache-2.0 */
#include "dsp.h"
#include "kernels.h"

void lookup_s8(const lookup_s8_params *p, const int8_t *input, int8_t *output) {
  const int8_t *table = p->table;
  const int32_t rest = p->elements & 3;
  const int8_t *end = output + (p->elements - rest);
  for (; output != end; input += 4, output += 4) {
    const uint32_t x = read_word(input);
    output[0] = table[x & 0xff];
    output[1] = table[x >> 8 & 0xff];
    output[2] = table[x >> 16 & 0xff];
    output[3] = table[x >> 24];
  }
  for (int32_t i = 0; i < rest; i++) output[i] = table[(uint8_t)input[i]];
}
