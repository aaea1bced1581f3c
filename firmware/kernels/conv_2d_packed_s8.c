/* SPDX-License-Identifier: Apache-2.0 */
#include "matmul_s8.h"

static void copy(int8_t *to, const int8_t *from, int32_t bytes) {
  for (; bytes >= 4; bytes -= 4, to += 4, from += 4) write_word(to, read_word(from));
  for (; bytes > 0; bytes--) *to++ = *from++;
}

/* The run of inputs under one row of a filter, whose first stands at (y, x): in the input itself where its words lie there, in `padding`
 * where all of them are padding, else collected in `buffer`. */
static const int8_t *filter_row(const conv_2d_packed_s8_params *p, const int8_t *input, int32_t y, int32_t x, const int8_t *padding, int8_t *buffer) {
  if (y < 0 || y >= p->input_height) return padding;
  const int32_t channels = p->input_channels, dilation = p->dilation_w;
  const int32_t start = (y * p->input_width + x) * channels;
  const int32_t end = p->input_height * p->input_width * channels;
  if (dilation == 1 && x >= 0 && x + p->filter_width <= p->input_width && start + p->run <= end) return input + start;

  copy(buffer, padding, p->run);
  for (int32_t tap = 0; tap < p->filter_width; tap++, x += dilation) {
    if (x >= 0 && x < p->input_width) copy(buffer + tap * channels, input + start + tap * dilation * channels, channels);
  }
  return buffer;
}

void conv_2d_packed_s8(const conv_2d_packed_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch) {
  uint32_t *const columns = (uint32_t *)(void *)scratch;
  int8_t *const padding = scratch + p->matmul.depth * MATMUL_PIXELS * 2, *const buffers = padding + p->run;
  for (int32_t i = 0; i < p->run; i++) padding[i] = (int8_t)p->input_zero;
  matmul_s8_block block;
  matmul_s8_begin(&block, &p->matmul, columns, p->output_channel);

  for (int32_t first = 0; first < p->output_pixels; first += MATMUL_PIXELS) {
    const int32_t last = p->output_pixels - 1 - first;
    int32_t top[MATMUL_PIXELS], left[MATMUL_PIXELS];
    for (int32_t i = 0; i < MATMUL_PIXELS; i++) {
      const int32_t pixel = first + (i < last ? i : last), y = pixel / p->output_width, x = pixel - y * p->output_width;
      top[i] = y * p->stride_h - p->pad_top;
      left[i] = x * p->stride_w - p->pad_left;
    }
    uint32_t *column = columns;
    for (int32_t y = 0; y < p->filter_height; y++) {
      const int8_t *rows[MATMUL_PIXELS];
      for (int32_t i = 0; i < MATMUL_PIXELS; i++) rows[i] = filter_row(p, input, top[i] + y * p->dilation_h, left[i], padding, buffers + i * p->run);
      column = matmul_s8_widen(column, rows, p->run / 4);
    }
    block.output = output + first * p->output_pixel;
    block.second = last > 0 ? p->output_pixel : 0;
    block.third = last > 1 ? 2 * p->output_pixel : block.second;
    matmul_s8_run(&block, &p->matmul, p->pairs);
  }
}
