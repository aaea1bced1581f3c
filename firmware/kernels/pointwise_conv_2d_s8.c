/* SPDX-License-Identifier: Apache-2.0 */
#include "matmul_s8.h"

static void widen_pixels(const pointwise_conv_2d_s8_params *p, uint32_t *columns, const int8_t *pixel, int32_t second,
                         int32_t third, const int8_t *end, int8_t *copies) {
  const int8_t *pixels[MATMUL_PIXELS] = {pixel, pixel + second, pixel + third};
  if (end - pixels[2] < p->matmul.depth) { /* whole words would leave the input */
    for (int32_t i = 0; i < MATMUL_PIXELS; i++, copies += p->matmul.depth) {
      for (int32_t c = 0; c < p->input_channels; c++) copies[c] = pixels[i][c];
      pixels[i] = copies;
    }
  }
  matmul_s8_widen(columns, pixels, p->matmul.depth / 4);
}

void pointwise_conv_2d_s8(const pointwise_conv_2d_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch) {
  uint32_t *columns = (uint32_t *)(void *)scratch;
  int8_t *copies = scratch + p->matmul.depth * MATMUL_PIXELS * 2;
  const int8_t *end = input + p->input_bytes;
  const int32_t in = p->input_pixel, out = p->output_pixel;
  const int32_t quads = in == 1 && p->input_channels % 4 == 0 ? p->input_channels / 4 : 0; /* of neighbours in planes */
  matmul_s8_block block;
  matmul_s8_begin(&block, &p->matmul, columns, p->output_channel);

  for (int32_t row = 0; row < p->rows; row++, input += p->input_row, output += p->row_pixels * out) {
    const int32_t last_block = (p->row_pixels - 1) / MATMUL_PIXELS * MATMUL_PIXELS;
    for (int32_t done = 0; done <= last_block; done += MATMUL_PIXELS) {
      const int32_t first = p->backwards ? last_block - done : done;
      const int32_t more = p->row_pixels - 1 - first; /* pixels after the first */
      const int8_t *pixel = input + first * in;
      const int32_t second = more > 0 ? in : 0, third = more > 1 ? 2 * in : second;
      if (p->input_channel == 1)
        widen_pixels(p, columns, pixel, second, third, end, copies);
      else if (quads > 0 && more > 2)
        matmul_s8_widen_neighbours(columns, pixel, quads, p->input_channel);
      else
        matmul_s8_widen_planes(columns, pixel, second, third, p->input_channels, p->input_channel);
      block.output = output + first * out;
      block.second = more > 0 ? out : 0;
      block.third = more > 1 ? 2 * out : block.second;
      matmul_s8_run(&block, &p->matmul, p->pairs);
    }
  }
}
