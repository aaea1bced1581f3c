/* SPDX-License-Identifier: Apache-2.0 */
#include "fixedpoint.h"
#include "kernels.h"

void mul_s8(const mul_s8_params *p, const int8_t *input1, const int8_t *input2, int8_t *output) {
  const int32_t *shape = p->at.shape, *s1 = p->at.stride1, *s2 = p->at.stride2;
  for (int32_t i = 0; i < shape[0]; i++) {
    for (int32_t j = 0; j < shape[1]; j++) {
      for (int32_t k = 0; k < shape[2]; k++) {
        const int8_t *a = input1 + i * s1[0] + j * s1[1] + k * s1[2];
        const int8_t *b = input2 + i * s2[0] + j * s2[1] + k * s2[2];
        for (int32_t l = 0; l < shape[3]; l++, a += s1[3], b += s2[3]) {
          const int32_t product = (*a + p->offset1) * (*b + p->offset2);
          const int32_t value = requantize(product, p->output_multiplier, p->output_shift) + p->output_offset;
          *output++ = (int8_t)clamp_s32(value, p->activation_min, p->activation_max);
        }
      }
    }
  }
}
