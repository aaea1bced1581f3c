/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kernels.h"

/* Rows of the input go to their places one after another, and padding into what lies between them. */
void pad_s8(const pad_s8_params *p, const int8_t *input, int8_t *output) {
  const int32_t *shape = p->input_shape, *before = p->before;
  int32_t unit[KERNEL_MAX_RANK + 1]; /* strides of the output; the first, all of it */
  unit[KERNEL_MAX_RANK] = 1;
  for (int32_t d = KERNEL_MAX_RANK - 1; d >= 0; d--) unit[d] = unit[d + 1] * (before[d] + shape[d] + p->after[d]);
  const int8_t *end = output + unit[0];
  const int8_t *first = output + before[4]; /* of the row (0, 0, 0, 0) of the padded tensor */

  for (int32_t i = 0; i < shape[0]; i++) {
    for (int32_t j = 0; j < shape[1]; j++) {
      for (int32_t k = 0; k < shape[2]; k++) {
        for (int32_t l = 0; l < shape[3]; l++, input += shape[4]) {
          const int8_t *to = first + (i + before[0]) * unit[1] + (j + before[1]) * unit[2] + (k + before[2]) * unit[3] +
                             (l + before[3]) * unit[4];
          memset(output, p->value, (size_t)(to - output));
          output += to - output;
          memcpy(output, input, (size_t)shape[4]);
          output += shape[4];
        }
      }
    }
  }
  memset(output, p->value, (size_t)(end - output));
}
