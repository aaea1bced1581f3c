/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "fixedpoint.h"
#include "kernels.h"

void conv_2d_s8(const conv_2d_s8_params *p, const int8_t *input, int8_t *output) {
  const int32_t depth = p->filter_channels;
  const int32_t groups = p->input_channels / depth;
  const int32_t group_outputs = p->output_channels / groups;
  const int32_t filter_row = p->filter_width * depth;
  const int32_t row = p->input_width * p->input_channels;

  for (int32_t batch = 0; batch < p->batches; batch++, input += p->input_height * row) {
    for (int32_t out_y = 0; out_y < p->output_height; out_y++) {
      const int32_t origin_y = out_y * p->stride_h - p->pad_top;
      for (int32_t out_x = 0; out_x < p->output_width; out_x++) {
        const int32_t origin_x = out_x * p->stride_w - p->pad_left;
        const int8_t *filter = p->weights;
        for (int32_t out_c = 0; out_c < p->output_channels; out_c++, filter += p->filter_height * filter_row) {
          const int32_t first_channel = out_c / group_outputs * depth;
          int32_t sum = p->bias != NULL ? p->bias[out_c] : 0;
          for (int32_t y = 0; y < p->filter_height; y++) {
            const int32_t in_y = origin_y + y * p->dilation_h;
            if (in_y < 0 || in_y >= p->input_height) continue; /* padding reads as the zero point: adds 0 */
            for (int32_t x = 0; x < p->filter_width; x++) {
              const int32_t in_x = origin_x + x * p->dilation_w;
              if (in_x < 0 || in_x >= p->input_width) continue;
              const int8_t *pixel = input + in_y * row + in_x * p->input_channels + first_channel;
              const int8_t *weight = filter + y * filter_row + x * depth;
              for (int32_t c = 0; c < depth; c++) sum += weight[c] * (pixel[c] + p->input_offset);
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
