/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "fixedpoint.h"
#include "kernels.h"

void depthwise_conv_2d_s8(const depthwise_conv_2d_s8_params *p, const int8_t *input, int8_t *output) {
  const int32_t outputs = p->input_channels * p->channel_multiplier;
  const int32_t row = p->input_width * p->input_channels;

  for (int32_t batch = 0; batch < p->batches; batch++, input += p->input_height * row) {
    for (int32_t out_y = 0; out_y < p->output_height; out_y++) {
      const int32_t origin_y = out_y * p->stride_h - p->pad_top;
      for (int32_t out_x = 0; out_x < p->output_width; out_x++) {
        const int32_t origin_x = out_x * p->stride_w - p->pad_left;
        for (int32_t out_c = 0; out_c < outputs; out_c++) {
          const int32_t in_c = out_c / p->channel_multiplier;
          int32_t sum = p->bias != NULL ? p->bias[out_c] : 0;
          for (int32_t y = 0; y < p->filter_height; y++) {
            const int32_t in_y = origin_y + y * p->dilation_h;
            if (in_y < 0 || in_y >= p->input_height) continue; /* padding reads as the zero point: adds 0 */
            for (int32_t x = 0; x < p->filter_width; x++) {
              const int32_t in_x = origin_x + x * p->dilation_w;
              if (in_x < 0 || in_x >= p->input_width) continue;
              const int32_t weight = p->weights[(y * p->filter_width + x) * outputs + out_c];
              sum += weight * (input[in_y * row + in_x * p->input_channels + in_c] + p->input_offset);
            }
          }
          const int32_t q = out_c * p->quant.quant_step;
          sum = requantize(sum, p->quant.multiplier[q], p->quant.shift[q]) + p->output_offset;
          *output++ = (int8_t)clamp_s32(sum, p->activation_min, p->activation_max);
        }
      }
    }
  }
}
