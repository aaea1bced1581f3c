/* SPDX-License-Identifier: Apache-2.0 */
#include "fixedpoint.h"
#include "kernels.h"

void max_pool_2d_s8(const pool_2d_s8_params *p, const int8_t *input, int8_t *output) {
  const int32_t row = p->input_width * p->channels;
  for (int32_t batch = 0; batch < p->batches; batch++, input += p->input_height * row) {
    for (int32_t out_y = 0; out_y < p->output_height; out_y++) {
      const int32_t origin_y = out_y * p->stride_h - p->pad_top;
      const int32_t y0 = origin_y < 0 ? 0 : origin_y;
      const int32_t y1 = clamp_s32(origin_y + p->filter_height, 0, p->input_height);
      for (int32_t out_x = 0; out_x < p->output_width; out_x++) {
        const int32_t origin_x = out_x * p->stride_w - p->pad_left;
        const int32_t x0 = origin_x < 0 ? 0 : origin_x;
        const int32_t x1 = clamp_s32(origin_x + p->filter_width, 0, p->input_width);
        const int32_t outside = p->filter_height * p->filter_width - (y1 - y0) * (x1 - x0);
        for (int32_t c = 0; c < p->channels; c++) {
          int32_t largest = p->counts_padding && outside ? p->padding_value : INT8_MIN;
          for (int32_t y = y0; y < y1; y++) {
            for (int32_t x = x0; x < x1; x++) {
              const int32_t value = input[y * row + x * p->channels + c];
              if (value > largest) largest = value;
            }
          }
          *output++ = (int8_t)clamp_s32(largest, p->activation_min, p->activation_max);
        }
      }
    }
  }
}
