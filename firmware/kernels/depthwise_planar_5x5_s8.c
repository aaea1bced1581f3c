/* SPDX-License-Identifier: Apache-2.0 */
#include "depthwise.h"
#include "dsp.h"

/* One row of pixels into one row of two outputs: pixels (0, 2), (1, 3), (2, 4), (3, 5), and the row's three weights. */
static inline void taps(const uint32_t *w, uint32_t even, uint32_t odd, uint32_t even2, uint32_t odd2, int32_t *a, int32_t *b) {
  *a = smlad(even, w[0], *a);
  *b = smlad(odd, w[0], *b);
  *a = smlad(odd, w[1], *a);
  *b = smlad(even2, w[1], *b);
  *a = smlatb(even2, w[2], *a);
  *b = smlatb(odd2, w[2], *b);
}

static void plane_5x5(const depthwise_planar_s8_params *p, const depthwise_plane *plane) {
  const int32_t bias = plane->channel[REQUANT_BIAS], row = plane->row;
  for (int32_t y = 0; y < plane->rows; y += 2) {
    const int8_t *from = plane->from + y * row;
    int8_t *to = plane->to + y * plane->to_row;
    const int32_t to_row = y + 1 < plane->rows ? plane->to_row : 0;
    for (int32_t left = plane->columns; left > 0; left -= 2) {
      const uint32_t *w = plane->weights;
      const int8_t *at = from;
      uint32_t word = read_word(at), word2 = read_word(at + 2);
      int32_t a = bias, b = bias, c = bias, d = bias;
      taps(w, sxtb16(word), sxtb16_ror8(word), sxtb16(word2), sxtb16_ror8(word2), &a, &b);
      for (int32_t i = 0; i < 4; i++, w += 4) {
        at += row;
        word = read_word(at), word2 = read_word(at + 2);
        const uint32_t even = sxtb16(word), odd = sxtb16_ror8(word), even2 = sxtb16(word2), odd2 = sxtb16_ror8(word2);
        taps(w, even, odd, even2, odd2, &c, &d);
        taps(w + 4, even, odd, even2, odd2, &a, &b);
      }
      at += row;
      word = read_word(at), word2 = read_word(at + 2);
      taps(w, sxtb16(word), sxtb16_ror8(word), sxtb16(word2), sxtb16_ror8(word2), &c, &d);
      depthwise_write_2x2(&p->requant, plane->channel, a, b, c, d, to, to_row, left > 1 ? plane->to_column : 0);
      from += 2;
      to += 2 * plane->to_column;
    }
  }
}

void depthwise_planar_5x5_s8(const depthwise_planar_s8_params *p, const int8_t *input, int8_t *output, void *scratch) {
  depthwise_planes_s8(p, input, output, scratch, plane_5x5);
}
