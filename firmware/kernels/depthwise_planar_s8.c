/* SPDX-License-Identifier: Apache-2.0 */
#include "depthwise.h"
#include "dsp.h"

/* Any filter and stride: two outputs of a row at a time, four taps by four. */
static void plane_any(const depthwise_planar_s8_params *p, const depthwise_plane *plane) {
  const int32_t bias = plane->channel[REQUANT_BIAS];
  for (int32_t y = 0; y < plane->rows; y++) {
    const int8_t *from = plane->from + y * p->row_step;
    int8_t *to = plane->to + y * plane->to_row;
    for (int32_t left = plane->columns; left > 0; left -= 2) {
      const uint32_t *w = plane->weights;
      const int8_t *at = from;
      int32_t a = bias, b = bias;
      for (int32_t i = 0; i < p->filter_height; i++, at += plane->row) {
        for (int32_t j = 0; j < p->filter_width; j += 4, w += 2) {
          const uint32_t first = read_word(at + j), second = read_word(at + j + p->column_step);
          a = smlad(sxtb16(first), w[0], a);
          b = smlad(sxtb16(second), w[0], b);
          a = smlad(sxtb16_ror8(first), w[1], a);
          b = smlad(sxtb16_ror8(second), w[1], b);
        }
      }
      const int32_t to_column = left > 1 ? plane->to_column : 0;
      to[to_column] = requant_s8_value(&p->requant, plane->channel, b);
      to[0] = requant_s8_value(&p->requant, plane->channel, a);
      from += 2 * p->column_step;
      to += 2 * plane->to_column;
    }
  }
}

void depthwise_planar_s8(const depthwise_planar_s8_params *p, const int8_t *input, int8_t *output, void *scratch) {
  depthwise_planes_s8(p, input, output, scratch, plane_any);
}
