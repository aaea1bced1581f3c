/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kernels.h"

void dequantize_s8_f32(const affine_params *p, const int8_t *input, void *output) {
  unsigned char *to = output;
  for (int32_t i = 0; i < p->elements; i++) {
    const float value = p->scale * (float)(input[i] - p->zero_point);
    memcpy(to + (size_t)i * sizeof value, &value, sizeof value);
  }
}
