/* SPDX-License-Identifier: Apache-2.0 */
#include "dsp.h"
#include "fixedpoint.h"
#include "kernels.h"

/* Four channels at a time, then those that are left. */
static void pool(const pool_2d_s8_params *p, const int8_t *from, int32_t rows, int32_t columns, int8_t *output) {
  const int32_t channels = p->channels, row = p->input_width * channels;
  const int32_t outside = p->filter_height * p->filter_width - rows * columns;
  const int32_t least =
      p->counts_padding && outside && p->padding_value > p->activation_min ? p->padding_value : p->activation_min;
  const uint32_t low = (uint8_t)least * 0x01010101u, high = (uint8_t)p->activation_max * 0x01010101u;
  int32_t c = 0;
  for (; c + 4 <= channels; c += 4) {
    uint32_t largest = low;
    const int8_t *line = from + c;
    for (int32_t y = rows; y > 0; y--, line += row) {
      const int8_t *at = line;
      for (int32_t x = columns; x > 0; x--, at += channels) largest = max_s8x4(largest, read_word(at));
    }
    write_word(output + c, min_s8x4(largest, high));
  }
  for (; c < channels; c++) {
    int32_t largest = least;
    for (int32_t y = 0; y < rows; y++) {
      for (int32_t x = 0; x < columns; x++) {
        const int32_t value = from[y * row + x * channels + c];
        if (value > largest) largest = value;
      }
    }
    output[c] = (int8_t)(largest < p->activation_max ? largest : p->activation_max);
  }
}

void max_pool_2d_s8(const pool_2d_s8_params *p, const int8_t *input, int8_t *output) {
  const int32_t row = p->input_width * p->channels;
  for (int32_t batch = 0; batch < p->batches; batch++, input += p->input_height * row) {
    for (int32_t out_y = 0; out_y < p->output_height; out_y++) {
      const int32_t origin_y = out_y * p->stride_h - p->pad_top;
      const int32_t y0 = origin_y < 0 ? 0 : origin_y;
      const int32_t y1 = clamp_s32(origin_y + p->filter_height, 0, p->input_height);
      for (int32_t out_x = 0; out_x < p->output_width; out_x++, output += p->channels) {
        const int32_t origin_x = out_x * p->stride_w - p->pad_left;
        const int32_t x0 = origin_x < 0 ? 0 : origin_x;
        const int32_t x1 = clamp_s32(origin_x + p->filter_width, 0, p->input_width);
        pool(p, input + y0 * row + x0 * p->channels, y1 - y0, x1 - x0, output);
      }
    }
  }
}
