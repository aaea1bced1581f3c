/* SPDX-License-Identifier: Apache-2.0 */
#include "matmul_s8.h"

static void widen_pixels(const pointwise_conv_2d_s8_params *p, uint32_t *columns, const int8_t *pixels[MATMUL_PIXELS], const int8_t *end, int8_t *copies) {
  for (int32_t i = 0; i < MATMUL_PIXELS; i++, copies += p->matmul.depth) {
    if (end - pixels[i] >= p->matmul.depth) continue;
    for (int32_t c = 0; c < p->input_channels; c++) copies[c] = pixels[i][c]; /* whole words would leave the input */
    pixels[i] = copies;
  }
  matmul_s8_widen(columns, pixels, p->matmul.depth / 4);
}

void pointwise_conv_2d_s8(const pointwise_conv_2d_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch) {
  uint32_t *columns = (uint32_t *)(void *)scratch;
  int8_t *copies = scratch + p->matmul.depth * MATMUL_PIXELS * 2;
  const int32_t blocks = (p->output_pixels + MATMUL_PIXELS - 1) / MATMUL_PIXELS;

  for (int32_t block = 0; block < blocks; block++) {
    const int32_t first = (p->backwards ? blocks - 1 - block : block) * MATMUL_PIXELS;
    const int32_t last = p->output_pixels - 1 - first;
    const int8_t *pixels[MATMUL_PIXELS];
    for (int32_t i = 0; i < MATMUL_PIXELS; i++) {
      const int32_t pixel = first + (i < last ? i : last), y = pixel / p->output_width, x = pixel - y * p->output_width;
      pixels[i] = input + (y * p->stride_h * p->input_width + x * p->stride_w) * p->input_pixel;
    }
    if (p->input_channel == 1) widen_pixels(p, columns, pixels, input + p->input_bytes, copies);
    else matmul_s8_widen_planes(columns, pixels, p->input_channels, p->input_channel);

    const int32_t second = last > 0 ? p->output_pixel : 0, third = last > 1 ? 2 * p->output_pixel : second;
    const matmul_s8_outputs to = {output + first * p->output_pixel, second, third, p->output_channel};
    matmul_s8_block(&p->matmul, columns, &to);
  }
}
