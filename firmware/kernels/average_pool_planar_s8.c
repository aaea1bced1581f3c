/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "average.h"
#include "kernels.h"
#include "planes.h"

static inline int32_t within(int32_t start, int32_t count, int32_t size) {
  const int32_t first = start < 0 ? 0 : start, end = start + count < size ? start + count : size;
  return end > first ? end - first : 0;
}

/* Four neighbouring windows at once; of a strided pool, those whose bytes the outputs want. */
static void pool(const pool_planar_s8_params *p, const int8_t *padded, const average *averages, int8_t *to) {
  const int32_t step = p->stride_w, many = step < 4 ? 3 / step + 1 : 1;
  for (int32_t y = 0; y < p->output_height; y++) {
    const int32_t top = y * p->stride_h;
    const int8_t *from = padded + top * p->pitch;
    const average *a = averages + within(top - p->pad_top, p->filter_height, p->input_height) * p->output_width;
    for (int32_t left = p->output_width; left > 0; left -= many, from += many * step) {
      const int8_t *at = from;
      uint32_t even = 0, odd = 0;
      for (int32_t i = p->filter_height; i > 0; i--, at += p->pitch) {
        if (p->filter_width == 3) {
          const uint32_t first = read_word(at), second = read_word(at + 1), third = read_word(at + 2);
          even = sxtab16(sxtab16(sxtab16(even, first), second), third);
          odd = sxtab16_ror8(sxtab16_ror8(sxtab16_ror8(odd, first), second), third);
        } else {
          for (int32_t j = 0; j < p->filter_width; j++) {
            const uint32_t word = read_word(at + j);
            even = sxtab16(even, word);
            odd = sxtab16_ror8(odd, word);
          }
        }
      }
      if (step == 1 && left >= 4) {
        to[0] = average_value(a, (int16_t)even);
        to[1] = average_value(a + 1, (int16_t)odd);
        to[2] = average_value(a + 2, (int32_t)even >> 16);
        to[3] = average_value(a + 3, (int32_t)odd >> 16);
        to += 4, a += 4;
      } else {
        const int32_t sums[4] = {(int16_t)even, (int16_t)odd, (int32_t)even >> 16, (int32_t)odd >> 16};
        for (int32_t i = 0; i < many && i < left; i++) *to++ = average_value(a++, sums[i * step]);
      }
    }
  }
}

void average_pool_planar_s8(const pool_planar_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch) {
  average *averages = (average *)scratch; /* (rows of a window within the image, output column) */
  for (int32_t rows = 0; rows <= p->filter_height; rows++) {
    for (int32_t x = 0; x < p->output_width; x++) {
      const int32_t columns = within(x * p->stride_w - p->pad_left, p->filter_width, p->input_width);
      const int32_t count = p->counts_padding ? p->filter_height * p->filter_width : rows * columns;
      averages[rows * p->output_width + x] = average_of(count, rows * columns, p->padding_value);
    }
  }
  int8_t *padded = (int8_t *)(averages + (p->filter_height + 1) * p->output_width);
  int8_t *inside = padded + p->pad_top * p->pitch + p->pad_left;
  memset(padded, 0, (size_t)p->padded_bytes);
  for (int32_t channel = 0; channel < p->channels; channel++) {
    copy_plane(input, p->input_height, p->input_width, inside, p->pitch);
    pool(p, padded, averages, output);
    input += p->input_height * p->input_width;
    output += p->output_height * p->output_width;
  }
}
