/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <string.h>

#include "depthwise.h"

static void copy_row(const int8_t *from, int8_t *to, int32_t count) {
  if (count < 4) {
    for (int32_t i = 0; i < count; i++) to[i] = from[i];
    return;
  }
  const int8_t *last = from + count - 4;
  int8_t *to_last = to + count - 4;
  for (; from < last; from += 4, to += 4) write_word(to, read_word(from));
  write_word(to_last, read_word(last));
}

/* The pixels of a row, through the table if there is one, each phase to a place of its own. */
static void spread_row(const depthwise_planar_s8_params *p, const int8_t *from, int8_t *to) {
  const int32_t phases = p->phases_w, start = p->pad_left % phases;
  for (int32_t phase = 0; phase < phases; phase++, to += p->phase_bytes) {
    int32_t x = phase < start ? phase - start + phases : phase - start;
    int8_t *at = to + (x + p->pad_left) / phases;
    if (p->table != NULL) {
      const int8_t *table = p->table + 128;
      for (; x < p->input_width; x += phases) *at++ = table[from[x]];
    } else {
      for (; x < p->input_width; x += phases) *at++ = from[x];
    }
  }
}

static void clamp(const depthwise_planar_s8_params *p, int8_t *output) {
  for (int32_t i = 0; i < p->output_height * p->output_width; i++) {
    output[i] = (int8_t)clamp_s32(output[i], p->activation_min, p->activation_max);
  }
}

void depthwise_planes_s8(const depthwise_planar_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch,
                         depthwise_plane_function *function) {
  const int32_t pitch = p->phase_bytes * p->phases_w;
  const int8_t *weights = p->weights;
  memset(scratch, p->padding, (size_t)p->padded_bytes);
  for (int32_t channel = 0; channel < p->channels; channel++) {
    int8_t *to = scratch + p->pad_top * pitch;
    for (int32_t y = 0; y < p->input_height; y++, to += pitch, input += p->input_width) {
      if (p->phases_w == 1 && p->table == NULL) {
        copy_row(input, to + p->pad_left, p->input_width);
      } else {
        spread_row(p, input, to);
      }
    }
    depthwise_plane plane = {
        .bias = p->bias_multiplier[2 * channel],
        .row = p->row,
        .weights = weights,
        .multiplier = p->bias_multiplier[2 * channel + 1],
        .rounding = (int32_t)((uint32_t)p->zero << p->shift[channel]),
        .shift = (uint32_t)p->shift[channel],
        .to_row = p->output_width * p->outputs_h,
        .to_column = p->outputs_w,
        .params = p,
    };
    for (int32_t y = 0; y < p->outputs_h; y++) {
      plane.rows = (p->output_height - y + p->outputs_h - 1) / p->outputs_h;
      for (int32_t x = 0; x < p->outputs_w; x++) {
        plane.columns = (p->output_width - x + p->outputs_w - 1) / p->outputs_w;
        plane.from = scratch + y * pitch + x * p->phase_bytes;
        plane.to = output + y * p->output_width + x;
        function(&plane);
      }
    }
    if (p->bounded) clamp(p, output);
    weights += p->filter_height * p->filter_width;
    output += p->output_height * p->output_width;
  }
}
