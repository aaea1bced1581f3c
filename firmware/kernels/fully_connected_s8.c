/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "fixedpoint.h"
#include "kernels.h"

void fully_connected_s8(const fully_connected_s8_params *p, const int8_t *input, int8_t *output) {
  for (int32_t batch = 0; batch < p->batches; batch++, input += p->depth) {
    const int8_t *weight = p->weights;
    for (int32_t out = 0; out < p->outputs; out++, weight += p->depth) {
      int32_t sum = p->bias != NULL ? p->bias[out] : 0;
      for (int32_t d = 0; d < p->depth; d++) sum += weight[d] * (input[d] + p->input_offset);
      const int32_t q = out * p->quant.quant_step;
      sum = requantize(sum, p->quant.multiplier[q], p->quant.shift[q]) + p->output_offset;
      *output++ = (int8_t)clamp_s32(sum, p->activation_min, p->activation_max);
    }
  }
}
