/* SPDX-License-Identifier: Apache-2.0 */
#include "average.h"
#include "dsp.h"
#include "fixedpoint.h"
#include "kernels.h"

/* Four channels of a window at a time; returns how many channels that makes. */
static int32_t fours(const pool_2d_s8_params *p, const int8_t *from, int32_t rows, int32_t columns, int32_t count,
                     int8_t *output) {
  const int32_t channels = p->channels, row = p->input_width * channels;
  const average a = average_of(count, rows * columns, p->padding_value);
  int32_t c = 0;
  for (; c + 4 <= channels; c += 4) {
    uint32_t even = 0, odd = 0;
    const int8_t *line = from + c;
    for (int32_t y = rows; y > 0; y--, line += row) {
      const int8_t *at = line;
      for (int32_t x = columns; x > 0; x--, at += channels) {
        const uint32_t word = read_word(at);
        even = sxtab16(even, word);
        odd = sxtab16_ror8(odd, word);
      }
    }
    output[c] = (int8_t)clamp_s32(average_value(&a, (int16_t)even), p->activation_min, p->activation_max);
    output[c + 1] = (int8_t)clamp_s32(average_value(&a, (int16_t)odd), p->activation_min, p->activation_max);
    output[c + 2] = (int8_t)clamp_s32(average_value(&a, (int32_t)even >> 16), p->activation_min, p->activation_max);
    output[c + 3] = (int8_t)clamp_s32(average_value(&a, (int32_t)odd >> 16), p->activation_min, p->activation_max);
  }
  return c;
}

void average_pool_2d_s8(const pool_2d_s8_params *p, const int8_t *input, int8_t *output) {
  const int32_t channels = p->channels, row = p->input_width * channels;
  for (int32_t batch = 0; batch < p->batches; batch++, input += p->input_height * row) {
    for (int32_t out_y = 0; out_y < p->output_height; out_y++) {
      const int32_t origin_y = out_y * p->stride_h - p->pad_top;
      const int32_t y0 = origin_y < 0 ? 0 : origin_y;
      const int32_t y1 = clamp_s32(origin_y + p->filter_height, 0, p->input_height);
      for (int32_t out_x = 0; out_x < p->output_width; out_x++, output += channels) {
        const int32_t origin_x = out_x * p->stride_w - p->pad_left;
        const int32_t x0 = origin_x < 0 ? 0 : origin_x;
        const int32_t x1 = clamp_s32(origin_x + p->filter_width, 0, p->input_width);
        const int32_t inside = (y1 - y0) * (x1 - x0);
        const int32_t count = p->counts_padding ? p->filter_height * p->filter_width : inside;
        const int8_t *from = input + y0 * row + x0 * channels;
        int32_t c = count <= AVERAGE_LARGEST ? fours(p, from, y1 - y0, x1 - x0, count, output) : 0;
        for (; c < channels; c++) {
          int32_t sum = (count - inside) * p->padding_value;
          for (int32_t y = 0; y < y1 - y0; y++) {
            for (int32_t x = 0; x < x1 - x0; x++) sum += from[y * row + x * channels + c];
          }
          const int32_t mean = (sum > 0 ? sum + count / 2 : sum - count / 2) / count; /* half away from zero */
          output[c] = (int8_t)clamp_s32(mean, p->activation_min, p->activation_max);
        }
      }
    }
  }
}
