/* SPDX-License-Identifier: Apache-2.0 */
#include "fixedpoint.h"
#include "kernels.h"
#include "planes.h"

static int8_t mean(const global_mean_s8_params *p, int32_t sum) {
  /* half away from zero */
  if (!p->rescales) return (int8_t)((sum > 0 ? sum + p->pixels / 2 : sum - p->pixels / 2) / p->pixels);
  sum = requantize(sum - p->zero_sum, p->output_multiplier, p->output_shift);
  return (int8_t)clamp_s32(sum + p->output_offset, INT8_MIN, INT8_MAX);
}

void global_mean_s8(const global_mean_s8_params *p, const int8_t *input, int8_t *output) {
  if (p->planar) {
    for (int32_t c = 0; c < p->channels; c++, input += p->pixels) output[c] = mean(p, sum_bytes(input, p->pixels));
    return;
  }
  int32_t c = 0;
  for (; c + 4 <= p->channels; c += 4) {
    int32_t sums[4];
    sum_pixels(input + c, p->pixels, p->channels, sums);
    for (int32_t i = 0; i < 4; i++) output[c + i] = mean(p, sums[i]);
  }
  for (; c < p->channels; c++) {
    int32_t sum = 0;
    for (int32_t i = 0; i < p->pixels; i++) sum += input[i * p->channels + c];
    output[c] = mean(p, sum);
  }
}
