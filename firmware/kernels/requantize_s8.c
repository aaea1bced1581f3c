/* SPDX-License-Identifier: Apache-2.0 */
#include "fixedpoint.h"
#include "kernels.h"

void requantize_s8(const requantize_s8_params *p, const int8_t *input, int8_t *output) {
  for (int32_t i = 0; i < p->elements; i++) {
    const int32_t value = requantize(input[i] + p->input_offset, p->output_multiplier, p->output_shift);
    output[i] = (int8_t)clamp_s32(value + p->output_offset, INT8_MIN, INT8_MAX);
  }
}
