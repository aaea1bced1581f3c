/* SPDX-License-Identifier: Apache-2.0 */
#include "fixedpoint.h"
#include "kernels.h"

#define HEADROOM 20 /* bits of fraction both inputs get before they are scaled */

static int32_t scaled(int32_t value, int32_t multiplier, int32_t shift) {
  return requantize(shift_left(value, HEADROOM), multiplier, shift);
}

void add_s8(const add_s8_params *p, const int8_t *input1, const int8_t *input2, int8_t *output) {
  const int32_t *shape = p->at.shape, *s1 = p->at.stride1, *s2 = p->at.stride2;
  for (int32_t i = 0; i < shape[0]; i++) {
    for (int32_t j = 0; j < shape[1]; j++) {
      for (int32_t k = 0; k < shape[2]; k++) {
        const int8_t *a = input1 + i * s1[0] + j * s1[1] + k * s1[2];
        const int8_t *b = input2 + i * s2[0] + j * s2[1] + k * s2[2];
        for (int32_t l = 0; l < shape[3]; l++, a += s1[3], b += s2[3]) {
          const int32_t left = scaled(*a + p->offset1, p->multiplier1, p->shift1);
          const int32_t right = scaled(*b + p->offset2, p->multiplier2, p->shift2);
          const int32_t value = requantize(left + right, p->output_multiplier, p->output_shift);
          *output++ = (int8_t)clamp_s32(value + p->output_offset, p->activation_min, p->activation_max);
        }
      }
    }
  }
}
