/* SPDX-License-Identifier: Apache-2.0 */
#include "depthwise.h"

/* Every second column: a word holds the three pixels of a window's row, (0, 2) and (1, 3). */
static void plane_3x3_stride2(const depthwise_plane *plane) {
  const int8_t *w = plane->weights;
  const uint32_t outer0 = pkhbt(2 * w[0], 2 * w[2]), outer1 = pkhbt(2 * w[3], 2 * w[5]),
                 outer2 = pkhbt(2 * w[6], 2 * w[8]);
  const uint32_t middle01 = pkhbt(2 * w[1], 2 * w[4]), middle2 = (uint32_t)(2 * w[7]);
  const int32_t bias = plane->bias, multiplier = plane->multiplier, rounding = plane->rounding;
  const uint32_t shift = plane->shift;
  const int32_t pitch = plane->params->phase_bytes;
  for (int32_t y = 0; y < plane->rows; y++) {
    const int8_t *from = plane->from + y * plane->row;
    int8_t *to = plane->to + y * plane->to_row;
    for (const int8_t *end = to + plane->columns; to != end; from += 2) {
      uint32_t pixels = read_word(from);
      int32_t sum = smlad(sxtb16(pixels), outer0, bias);
      sum = smlabb(sxtb16_ror8(pixels), middle01, sum);
      pixels = read_word(from + pitch);
      sum = smlad(sxtb16(pixels), outer1, sum);
      sum = smlabt(sxtb16_ror8(pixels), middle01, sum);
      pixels = read_word(from + 2 * pitch);
      sum = smlad(sxtb16(pixels), outer2, sum);
      sum = smlabb(sxtb16_ror8(pixels), middle2, sum);
      *to++ = depthwise_output(sum, multiplier, rounding, shift);
    }
  }
}

void depthwise_planar_3x3_stride2_s8(const depthwise_planar_s8_params *p, const int8_t *input, int8_t *output,
                                     int8_t *scratch) {
  depthwise_planes_s8(p, input, output, scratch, plane_3x3_stride2);
}
