/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "dsp.h"
#include "kernels.h"

/* `count` bytes, `step` apart. */
static void row(const int8_t *from, int32_t step, int32_t count, int8_t *output) {
  if (step == 1) {
    memcpy(output, from, (size_t)count);
    return;
  }
  const int32_t two = 2 * step, three = 3 * step;
  const int8_t *end = output + count;
  for (; end - output >= 4; from += 4 * step, output += 4) {
    uint32_t word = insert_byte1((uint8_t)from[0], from[step]);
    word = insert_byte2(word, from[two]);
    write_word(output, insert_byte3(word, from[three]));
  }
  for (; output != end; from += step) *output++ = *from;
}

void gather_s8(const gather_s8_params *p, const int8_t *input, int8_t *output) {
  const int32_t *shape = p->shape, *stride = p->stride;
  const int8_t *at0 = input + p->start;
  for (int32_t i = 0; i < shape[0]; i++, at0 += stride[0]) {
    const int8_t *at1 = at0;
    for (int32_t j = 0; j < shape[1]; j++, at1 += stride[1]) {
      const int8_t *at2 = at1;
      for (int32_t k = 0; k < shape[2]; k++, at2 += stride[2]) {
        const int8_t *at3 = at2;
        for (int32_t l = 0; l < shape[3]; l++, at3 += stride[3], output += shape[4])
          row(at3, stride[4], shape[4], output);
      }
    }
  }
}
