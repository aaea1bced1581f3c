/* SPDX-License-Identifier: Apache-2.0 */
#include "depthwise.h"
#include "dsp.h"

/* Any filter, stride and dilation: four outputs of a row at a time, tap by tap. Each tap of neighbouring outputs lies
 * in neighbouring bytes, since a strided convolution has its columns spread into phases. */
static void plane_any(const depthwise_plane *plane) {
  const depthwise_planar_s8_params *p = plane->params;
  const int32_t taps = p->filter_height * p->filter_width, columns = plane->columns;
  const int32_t bias = plane->bias, multiplier = plane->multiplier, rounding = plane->rounding;
  const uint32_t shift = plane->shift;
  for (int32_t y = 0; y < plane->rows; y++) {
    const int8_t *row = plane->from + y * plane->row;
    int8_t *to_row = plane->to + y * plane->to_row;
    for (int32_t x = 0; x < columns; x += 4) {
      if (x > columns - 4 && columns >= 4) x = columns - 4; /* some again rather than beyond */
      const int8_t *from = row + x, *weights = plane->weights;
      const int32_t *place = p->taps;
      int32_t a = 0, b = 0, c = 0, d = 0;
      for (int32_t left = taps; left > 0; left--) {
        const uint32_t pixels = read_word(from + *place++), weight = (uint32_t)*weights++;
        const uint32_t even = sxtb16(pixels), odd = sxtb16_ror8(pixels);
        a = smlabb(even, weight, a);
        b = smlabb(odd, weight, b);
        c = smlatb(even, weight, c);
        d = smlatb(odd, weight, d);
      }
      int8_t *to = to_row + x;
      const int32_t many = columns - x;
      to[0] = depthwise_output(2 * a + bias, multiplier, rounding, shift);
      if (many > 1) to[1] = depthwise_output(2 * b + bias, multiplier, rounding, shift);
      if (many > 2) to[2] = depthwise_output(2 * c + bias, multiplier, rounding, shift);
      if (many > 3) to[3] = depthwise_output(2 * d + bias, multiplier, rounding, shift);
    }
  }
}

void depthwise_planar_s8(const depthwise_planar_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch) {
  depthwise_planes_s8(p, input, output, scratch, plane_any);
}
