/* SPDX-License-Identifier: Apache-2.0 */
#include "depthwise.h"
#include "dsp.h"

/* Two outputs of a row take six taps from one word: pixels (0, 2) and (1, 3). Each word serves two rows of outputs. */
static void plane_3x3(const depthwise_planar_s8_params *p, const depthwise_plane *plane) {
  const uint32_t *w = plane->weights;
  const uint32_t outer0 = w[0], outer1 = w[2], outer2 = w[4]; /* taps (0, 2) of each row */
  const uint32_t middle01 = (w[1] & 0xffffu) | w[3] << 16, middle2 = w[5];
  const int32_t bias = plane->channel[REQUANT_BIAS], row = plane->row;
  for (int32_t y = 0; y < plane->rows; y += 2) {
    const int8_t *from = plane->from + y * row;
    int8_t *to = plane->to + y * plane->to_row;
    const int32_t to_row = y + 1 < plane->rows ? plane->to_row : 0;
    for (int32_t left = plane->columns; left > 0; left -= 2) {
      uint32_t word = read_word(from), even = sxtb16(word), odd = sxtb16_ror8(word);
      int32_t a = smlad(even, outer0, bias), b = smlad(odd, outer0, bias);
      a = smlabb(odd, middle01, a);
      b = smlatb(even, middle01, b);
      word = read_word(from + row), even = sxtb16(word), odd = sxtb16_ror8(word);
      int32_t c = smlad(even, outer0, bias), d = smlad(odd, outer0, bias);
      a = smlad(even, outer1, a);
      b = smlad(odd, outer1, b);
      c = smlabb(odd, middle01, c);
      d = smlatb(even, middle01, d);
      a = smlabt(odd, middle01, a);
      b = smlatt(even, middle01, b);
      word = read_word(from + 2 * row), even = sxtb16(word), odd = sxtb16_ror8(word);
      a = smlad(even, outer2, a);
      b = smlad(odd, outer2, b);
      c = smlad(even, outer1, c);
      d = smlad(odd, outer1, d);
      a = smlabb(odd, middle2, a);
      b = smlatb(even, middle2, b);
      c = smlabt(odd, middle01, c);
      d = smlatt(even, middle01, d);
      word = read_word(from + 3 * row), even = sxtb16(word), odd = sxtb16_ror8(word);
      c = smlad(even, outer2, c);
      d = smlad(odd, outer2, d);
      c = smlabb(odd, middle2, c);
      d = smlatb(even, middle2, d);
      depthwise_write_2x2(&p->requant, plane->channel, a, b, c, d, to, to_row, left > 1 ? plane->to_column : 0);
      from += 2;
      to += 2 * plane->to_column;
    }
  }
}

void depthwise_planar_3x3_s8(const depthwise_planar_s8_params *p, const int8_t *input, int8_t *output, void *scratch) {
  depthwise_planes_s8(p, input, output, scratch, plane_3x3);
}
