/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <string.h>

#include "depthwise.h"
#include "dsp.h"

/* int8 weights of one channel to doubled halves, in the order of depthwise.h. */
static void widen(const int8_t *weights, int32_t rows, int32_t taps, uint32_t *to) {
  for (int32_t row = 0; row < rows; row++, weights += taps) {
    for (int32_t tap = 0; tap < taps; tap += 4) {
      uint32_t four = read_word(weights + tap);
      if (taps - tap < 4) four &= 0xffffffu >> 8 * (tap + 3 - taps);
      const uint32_t even = sxtb16(four), odd = sxtb16_ror8(four);
      *to++ = (uint32_t)sadd16(even, even);
      *to++ = (uint32_t)sadd16(odd, odd);
    }
  }
}

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

/* The pixels of a row, through the table if there is one, each phase of a dilated convolution to a place of its own. */
static void spread_row(const depthwise_planar_s8_params *p, const int8_t *from, int8_t *to) {
  for (int32_t phase = 0; phase < p->dilation_w; phase++, to += p->phase_bytes) {
    int32_t x = phase - p->pad_left % p->dilation_w;
    if (x < 0) x += p->dilation_w;
    int8_t *at = to + (x + p->pad_left) / p->dilation_w;
    if (p->table != NULL) {
      const int8_t *table = p->table + 128;
      for (; x < p->input_width; x += p->dilation_w) *at++ = table[from[x * p->input_column]];
    } else {
      for (; x < p->input_width; x += p->dilation_w) *at++ = from[x * p->input_column];
    }
  }
}

void depthwise_planes_s8(const depthwise_planar_s8_params *p, const int8_t *input, int8_t *output, void *scratch,
                         depthwise_plane_function *function) {
  uint32_t *weights = scratch;
  int8_t *padded = (int8_t *)(weights + p->filter_height * ((p->filter_width + 3) / 4 * 2));
  const int32_t row = p->phase_bytes * p->dilation_w;
  const int plain = p->dilation_w == 1 && p->table == NULL && p->input_column == 1;
  memset(padded, p->padding, (size_t)p->padded_bytes);
  for (int32_t channel = 0; channel < p->channels; channel++) {
    int8_t *to = padded + p->pad_top * row;
    for (int32_t y = 0; y < p->input_height; y++, to += row) {
      const int8_t *from = input + y * p->input_row;
      if (plain) {
        copy_row(from, to + p->pad_left, p->input_width);
      } else {
        spread_row(p, from, to);
      }
    }
    widen(p->weights + channel * p->filter_height * p->filter_width, p->filter_height, p->filter_width, weights);
    depthwise_plane plane = {
        .row = row * p->dilation_h,
        .to_row = p->output_row * p->phases_h,
        .to_column = p->output_column * p->phases_w,
        .weights = weights,
        .channel = p->requant.channels + channel * REQUANT_WORDS,
    };
    for (int32_t y = 0; y < p->phases_h && y < p->output_height; y++) {
      for (int32_t x = 0; x < p->phases_w && x < p->output_width; x++) {
        plane.from = padded + y * row + x * p->phase_bytes;
        plane.to = output + y * p->output_row + x * p->output_column;
        plane.rows = (p->output_height - y + p->phases_h - 1) / p->phases_h;
        plane.columns = (p->output_width - x + p->phases_w - 1) / p->phases_w;
        function(p, &plane);
      }
    }
    input += p->input_height * p->input_width;
    output += p->output_height * p->output_width;
  }
}
