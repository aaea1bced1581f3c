/* SPDX-License-Identifier: Apache-2.0 */
#include "fixedpoint.h"
#include "kernels.h"

static int32_t sum_over(const int32_t *extent, const int32_t *stride, const int8_t *from) {
  int32_t sum = 0;
  for (int32_t i = 0; i < extent[0]; i++) {
    for (int32_t j = 0; j < extent[1]; j++) {
      for (int32_t k = 0; k < extent[2]; k++) {
        for (int32_t l = 0; l < extent[3]; l++) {
          const int8_t *at = from + i * stride[0] + j * stride[1] + k * stride[2] + l * stride[3];
          for (int32_t m = 0; m < extent[4]; m++) sum += at[m * stride[4]];
        }
      }
    }
  }
  return sum;
}

void mean_s8(const mean_s8_params *p, const int8_t *input, int8_t *output) {
  const int32_t *extent = p->kept, *stride = p->kept_stride;
  for (int32_t i = 0; i < extent[0]; i++) {
    for (int32_t j = 0; j < extent[1]; j++) {
      for (int32_t k = 0; k < extent[2]; k++) {
        for (int32_t l = 0; l < extent[3]; l++) {
          for (int32_t m = 0; m < extent[4]; m++) {
            const int8_t *from = input + i * stride[0] + j * stride[1] + k * stride[2] + l * stride[3] + m * stride[4];
            const int32_t sum = sum_over(p->reduced, p->reduced_stride, from) - p->zero_sum;
            const int32_t mean = requantize(sum, p->output_multiplier, p->output_shift) + p->output_offset;
            *output++ = (int8_t)clamp_s32(mean, INT8_MIN, INT8_MAX);
          }
        }
      }
    }
  }
}
