/* SPDX-License-Identifier: Apache-2.0 */
/* Planes (one channel of an image) and channels: copies with padding, and sums. */
#ifndef TINYFLOW_PLANES_H
#define TINYFLOW_PLANES_H

#include "dsp.h"

/* Rows of `width` bytes to rows `pitch` apart. */
static inline void copy_plane(const int8_t *from, int32_t height, int32_t width, int8_t *to, int32_t pitch) {
  const int32_t last = width - 4;
  for (; height > 0; height--, from += width, to += pitch) {
    if (last < 0) {
      for (int32_t x = 0; x < width; x++) to[x] = from[x];
    } else {
      for (int32_t x = 0; x < last; x += 4) write_word(to + x, read_word(from + x));
      write_word(to + last, read_word(from + last)); /* some again rather than beyond */
    }
  }
}

/* The sum of `count` neighbouring bytes. */
static inline int32_t sum_bytes(const int8_t *from, int32_t count) {
  const uint32_t ones = 0x00010001u;
  int32_t sum = 0;
  for (; count >= 8; count -= 8, from += 8) {
    const uint32_t a = read_word(from), b = read_word(from + 4);
    sum = smlad(sxtb16(a), ones, sum);
    sum = smlad(sxtb16_ror8(a), ones, sum);
    sum = smlad(sxtb16(b), ones, sum);
    sum = smlad(sxtb16_ror8(b), ones, sum);
  }
  for (; count > 0; count--) sum += *from++;
  return sum;
}

/* The sums of four neighbouring channels over `count` pixels, `stride` bytes apart. */
static inline void sum_pixels(const int8_t *from, int32_t count, int32_t stride, int32_t sums[4]) {
  sums[0] = sums[1] = sums[2] = sums[3] = 0;
  while (count > 0) {
    uint32_t even = 0, odd = 0;
    /* what a half can hold */
    for (int32_t left = count < 256 ? count : 256; left > 0; left--, count--, from += stride) {
      const uint32_t word = read_word(from);
      even = sxtab16(even, word);
      odd = sxtab16_ror8(odd, word);
    }
    sums[0] = smlabb(even, 1, sums[0]);
    sums[1] = smlabb(odd, 1, sums[1]);
    sums[2] = smlatb(even, 1, sums[2]);
    sums[3] = smlatb(odd, 1, sums[3]);
  }
}

#endif
