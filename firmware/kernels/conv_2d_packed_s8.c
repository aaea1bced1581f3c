/* SPDX-License-Identifier: Apache-2.0 */
#include "matmul_s8.h"

/* Where a pixel's filter stands: its first tap in the input, and the last start from which a row of it can be read as
 * it is (INT32_MIN: none). */
typedef struct {
  int32_t y, x, start, last;
} place;

static void copy(int8_t *to, const int8_t *from, int32_t bytes) {
  for (; bytes >= 4; bytes -= 4, to += 4, from += 4) write_word(to, read_word(from));
  for (; bytes > 0; bytes--) *to++ = *from++;
}

/* A row of the filter that has taps in the padding, or lies apart, or whose words would leave the input. */
static const int8_t *collect(const conv_2d_packed_s8_params *p, const int8_t *input, const place *at,
                             const int8_t *padding, int8_t *buffer) {
  const int32_t channels = p->input_channels;
  copy(buffer, padding, p->run);
  for (int32_t tap = 0; tap < p->filter_width; tap++) {
    const int32_t offset = tap * p->dilation_w, x = at->x + offset;
    if (x >= 0 && x < p->input_width) copy(buffer + tap * channels, input + at->start + offset * channels, channels);
  }
  return buffer;
}

void conv_2d_packed_s8(const conv_2d_packed_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch) {
  uint32_t *const columns = (uint32_t *)(void *)scratch;
  int8_t *const padding = scratch + p->matmul.depth * MATMUL_PIXELS * 2, *const buffers = padding + p->run;
  for (int32_t i = 0; i < p->run; i++) padding[i] = (int8_t)p->input_zero;
  const int32_t row = p->input_width * p->input_channels, step = p->dilation_h * row;
  const int32_t last_start = p->input_height * row - p->run;
  matmul_s8_block block;
  matmul_s8_begin(&block, &p->matmul, columns, p->output_channel);

  for (int32_t first = 0; first < p->output_pixels; first += MATMUL_PIXELS) {
    const int32_t more = p->output_pixels - 1 - first; /* pixels after the first */
    place at[MATMUL_PIXELS];
    for (int32_t i = 0; i < MATMUL_PIXELS; i++) {
      const int32_t pixel = first + (i < more ? i : more), out_y = pixel / p->output_width;
      const int32_t y = out_y * p->stride_h - p->pad_top;
      const int32_t x = (pixel - out_y * p->output_width) * p->stride_w - p->pad_left;
      const int32_t whole = p->dilation_w == 1 && x >= 0 && x + p->filter_width <= p->input_width;
      at[i] = (place){y, x, y * row + x * p->input_channels, whole ? last_start : INT32_MIN};
    }
    uint32_t *column = columns;
    for (int32_t filter_y = 0; filter_y < p->filter_height; filter_y++) {
      const int8_t *rows[MATMUL_PIXELS];
      for (int32_t i = 0; i < MATMUL_PIXELS; i++) {
        if ((uint32_t)at[i].y >= (uint32_t)p->input_height)
          rows[i] = padding;
        else if (at[i].start <= at[i].last)
          rows[i] = input + at[i].start;
        else
          rows[i] = collect(p, input, &at[i], padding, buffers + i * p->run);
        at[i].y += p->dilation_h;
        at[i].start += step;
      }
      column = matmul_s8_widen(column, rows, p->run / 4);
    }
    block.output = output + first * p->output_pixel;
    block.second = more > 0 ? p->output_pixel : 0;
    block.third = more > 1 ? 2 * p->output_pixel : block.second;
    matmul_s8_run(&block, &p->matmul, p->pairs);
  }
}
