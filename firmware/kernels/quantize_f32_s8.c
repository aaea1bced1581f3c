/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "fixedpoint.h"
#include "kernels.h"

/* Half away from zero without libm; anything beyond +-1024 saturates int8 whatever the zero point. */
static int32_t round_half_away(float value) {
  if (value > 1024.0f) return 1024;
  if (value < -1024.0f) return -1024;
  const int32_t whole = (int32_t)value;
  const float rest = value - (float)whole;
  return whole + (rest >= 0.5f) - (rest <= -0.5f);
}

void quantize_f32_s8(const affine_params *p, const void *input, int8_t *output) {
  const unsigned char *from = input;
  for (int32_t i = 0; i < p->elements; i++) {
    float value;
    memcpy(&value, from + (size_t)i * sizeof value, sizeof value);
    output[i] = (int8_t)clamp_s32(round_half_away(value / p->scale) + p->zero_point, INT8_MIN, INT8_MAX);
  }
}
