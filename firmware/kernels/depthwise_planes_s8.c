/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <string.h>

#include "depthwise.h"
#include "planes.h"

static inline int8_t look_up(const int8_t *table, int8_t value) { return table != NULL ? table[value] : value; }

/* Each column to its phase, through the table if there is one. */
static inline void spread(const depthwise_planar_s8_params *p, const int8_t *input, int8_t *padded,
                          const int8_t *table) {
  const int32_t step = p->phases_w, pitch = p->phase_bytes * step;
  for (int32_t phase = 0; phase < step; phase++) {
    /* of this phase, padding */
    const int32_t skipped = phase < p->pad_left ? (p->pad_left - phase + step - 1) / step : 0;
    const int32_t first = phase + skipped * step - p->pad_left;
    const int32_t count = (p->input_width - first + step - 1) / step;
    const int8_t *from_row = input + first;
    int8_t *to_row = padded + phase * p->phase_bytes + skipped;
    for (int32_t y = p->input_height; y > 0; y--, from_row += p->input_width, to_row += pitch) {
      const int8_t *from = from_row;
      int8_t *to = to_row;
      int32_t left = count;
      for (; left >= 4; left -= 4, from += 4 * step, to += 4) {
        to[0] = look_up(table, from[0]);
        to[1] = look_up(table, from[step]);
        to[2] = look_up(table, from[2 * step]);
        to[3] = look_up(table, from[3 * step]);
      }
      for (; left > 0; left--, from += step) *to++ = look_up(table, *from);
    }
  }
}

void depthwise_planes_s8(const depthwise_planar_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch,
                         depthwise_plane_function *function) {
  const int32_t pitch = p->phase_bytes * p->phases_w;
  int8_t *padded = scratch + p->pad_top * pitch;
  depthwise_plane plane = {
      .row = p->row,
      .weights = p->weights,
      .to_row = p->output_width * p->outputs_h,
      .to_column = p->outputs_w,
      .params = p,
  };
  memset(scratch, p->padding, (size_t)p->padded_bytes);
  for (int32_t channel = 0; channel < p->channels; channel++) {
    if (p->table != NULL) {
      spread(p, input, padded, p->table + 128);
    } else if (p->phases_w > 1) {
      spread(p, input, padded, NULL);
    } else {
      copy_plane(input, p->input_height, p->input_width, padded + p->pad_left, pitch);
    }
    plane.bias = p->bias_multiplier[2 * channel];
    plane.multiplier = p->bias_multiplier[2 * channel + 1];
    plane.shift = (uint32_t)p->shift[channel];
    plane.rounding = (int32_t)((uint32_t)p->zero << plane.shift);
    for (int32_t y = 0; y < p->outputs_h; y++) {
      plane.rows = (p->output_height - y + p->outputs_h - 1) / p->outputs_h;
      for (int32_t x = 0; x < p->outputs_w; x++) {
        plane.columns = (p->output_width - x + p->outputs_w - 1) / p->outputs_w;
        plane.from = scratch + y * pitch + x * p->phase_bytes;
        plane.to = output + y * p->output_width + x;
        function(&plane);
      }
    }
    plane.weights += p->filter_height * p->filter_width;
    input += p->input_height * p->input_width;
    output += p->output_height * p->output_width;
  }
}
