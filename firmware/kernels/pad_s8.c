/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kernels.h"

/* Rows of the padded tensor are written one after another; those outside the input are all padding. */
void pad_s8(const pad_s8_params *p, const int8_t *input, int8_t *output) {
  const int32_t *shape = p->input_shape, *before = p->before, *after = p->after;
  int32_t extent[KERNEL_MAX_RANK];
  for (int32_t d = 0; d < KERNEL_MAX_RANK; d++) extent[d] = before[d] + shape[d] + after[d];

  for (int32_t i = 0; i < extent[0]; i++) {
    for (int32_t j = 0; j < extent[1]; j++) {
      for (int32_t k = 0; k < extent[2]; k++) {
        for (int32_t l = 0; l < extent[3]; l++, output += extent[4]) {
          const int inside = i >= before[0] && i < before[0] + shape[0] && j >= before[1] &&
                             j < before[1] + shape[1] && k >= before[2] && k < before[2] + shape[2] &&
                             l >= before[3] && l < before[3] + shape[3];
          memset(output, p->value, (size_t)extent[4]);
          if (inside) {
            memcpy(output + before[4], input, (size_t)shape[4]);
            input += shape[4];
          }
        }
      }
    }
  }
}
