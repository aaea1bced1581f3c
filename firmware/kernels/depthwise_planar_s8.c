/* SPDX-License-Identifier: Apache-2.0 */
#include "depthwise.h"
#include "dsp.h"

/* Any filter, stride and dilation: four outputs of a row at a time, tap by tap. Each tap of neighbouring outputs lies in
 * neighbouring bytes, since a strided convolution has its columns spread into phases. */
static void plane_any(const depthwise_plane *plane) {
  const depthwise_planar_s8_params *p = plane->params;
  const int32_t taps = p->filter_height * p->filter_width;
  for (int32_t y = 0; y < plane->rows; y++) {
    for (int32_t x = 0; x < plane->columns; x += 4) {
      if (x > plane->columns - 4 && plane->columns >= 4) x = plane->columns - 4; /* some again rather than beyond */
      const int8_t *from = plane->from + y * plane->row + x;
      int32_t a = 0, b = 0, c = 0, d = 0;
      for (int32_t tap = 0; tap < taps; tap++) {
        const uint32_t pixels = read_word(from + p->taps[tap]), weight = (uint32_t)plane->weights[tap];
        const uint32_t even = sxtb16(pixels), odd = sxtb16_ror8(pixels);
        a = smlabb(even, weight, a);
        b = smlabb(odd, weight, b);
        c = smlatb(even, weight, c);
        d = smlatb(odd, weight, d);
      }
      int8_t *to = plane->to + y * plane->to_row + x;
      const int32_t left = plane->columns - x;
      to[0] = depthwise_output(plane, a);
      if (left > 1) to[1] = depthwise_output(plane, b);
      if (left > 2) to[2] = depthwise_output(plane, c);
      if (left > 3) to[3] = depthwise_output(plane, d);
    }
  }
}

void depthwise_planar_s8(const depthwise_planar_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch) {
  depthwise_planes_s8(p, input, output, scratch, plane_any);
}
