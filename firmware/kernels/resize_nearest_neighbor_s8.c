/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kernels.h"

void resize_nearest_neighbor_s8(const resize_nearest_neighbor_s8_params *p, const int8_t *input, int8_t *output) {
  const int32_t row = p->input_width * p->channels, output_row = p->output_width * p->channels;
  for (int32_t batch = 0; batch < p->batches; batch++, input += p->input_height * row) {
    for (int32_t y = 0; y < p->output_height; y++, output += output_row) {
      const int8_t *from = input + p->rows[y] * row;
      if (y && p->rows[y] == p->rows[y - 1]) {
        memcpy(output, output - output_row, (size_t)output_row);
      } else if (p->channels == 1) {
        for (int32_t x = 0; x < p->output_width; x++) output[x] = from[p->columns[x]];
      } else {
        for (int32_t x = 0; x < p->output_width; x++) {
          memcpy(output + x * p->channels, from + p->columns[x] * p->channels, (size_t)p->channels);
        }
      }
    }
  }
}
