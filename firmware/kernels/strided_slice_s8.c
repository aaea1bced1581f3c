/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels.h"

void strided_slice_s8(const gather_s8_params *p, const int8_t *input, int8_t *output) {
  const int32_t *shape = p->shape, *stride = p->stride;
  for (int32_t i = 0; i < shape[0]; i++) {
    for (int32_t j = 0; j < shape[1]; j++) {
      for (int32_t k = 0; k < shape[2]; k++) {
        for (int32_t l = 0; l < shape[3]; l++) {
          const int8_t *from =
              input + p->start + i * stride[0] + j * stride[1] + k * stride[2] + l * stride[3];
          for (int32_t m = 0; m < shape[4]; m++) *output++ = from[m * stride[4]];
        }
      }
    }
  }
}
