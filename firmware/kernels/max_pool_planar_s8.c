/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kernels.h"
#include "planes.h"

/* Four neighbouring windows at once; of a strided pool, those whose bytes the outputs want. */
static void pool(const pool_planar_s8_params *p, const int8_t *padded, int8_t *to) {
  const int32_t step = p->stride_w, many = step < 4 ? 3 / step + 1 : 1;
  for (int32_t y = 0; y < p->output_height; y++) {
    const int8_t *from = padded + y * p->stride_h * p->pitch;
    for (int32_t left = p->output_width; left > 0; left -= many, from += many * step) {
      const int8_t *at = from;
      uint32_t largest = 0x80808080u;
      for (int32_t i = p->filter_height; i > 0; i--, at += p->pitch) {
        if (p->filter_width == 3) {
          largest = max_s8x4(largest, read_word(at));
          largest = max_s8x4(largest, read_word(at + 1));
          largest = max_s8x4(largest, read_word(at + 2));
        } else {
          for (int32_t j = 0; j < p->filter_width; j++) largest = max_s8x4(largest, read_word(at + j));
        }
      }
      if (step == 1 && left >= 4) {
        write_word(to, largest);
        to += 4;
      } else {
        for (int32_t i = 0; i < many && i < left; i++, largest >>= 8 * step) *to++ = (int8_t)(uint8_t)largest;
      }
    }
  }
}

void max_pool_planar_s8(const pool_planar_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch) {
  int8_t *inside = scratch + p->pad_top * p->pitch + p->pad_left;
  memset(scratch, p->counts_padding ? p->padding_value : INT8_MIN, (size_t)p->padded_bytes);
  for (int32_t channel = 0; channel < p->channels; channel++) {
    copy_plane(input, p->input_height, p->input_width, inside, p->pitch);
    pool(p, scratch, output);
    input += p->input_height * p->input_width;
    output += p->output_height * p->output_width;
  }
}
