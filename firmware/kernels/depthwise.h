/* SPDX-License-Identifier: Apache-2.0 */
/* What the planar depthwise kernels share: each gives depthwise_planes_s8 the function that computes one plane. */
#ifndef TINYFLOW_DEPTHWISE_H
#define TINYFLOW_DEPTHWISE_H

#include "kernels.h"

/* One channel of the input, padded, and where its output goes. Output (y, x), below (rows, columns), is at
 * to + y * to_row + x * to_column, and nothing else may be written. In the unrolled kernels its tap (i, j) is
 * from[(y + i) * row + x + j] (what is left of a dilated convolution are the pixels of one phase), and reads may go one
 * row and one column too far; so may those of weights, by a byte. The output is requant_s8_shared(bias + 2 * sum,
 * multiplier, zero, shift) with rounding = zero << shift. The assembly knows the order of the first twelve. */
typedef struct {
  int32_t bias, row;
  const int8_t *weights; /* (filter_height, filter_width) */
  int32_t multiplier, rounding;
  uint32_t shift;
  int32_t to_row, to_column;
  const int8_t *from;
  int8_t *to;
  int32_t rows, columns;
  const depthwise_planar_s8_params *params;
} depthwise_plane;

typedef void depthwise_plane_function(const depthwise_plane *plane);

/* In assembly, or their twins; each in the file of its kernel. */
void depthwise_planar_3x3_plane(const depthwise_plane *plane);
void depthwise_planar_5x5_plane(const depthwise_plane *plane);

/* Copies each plane into scratch between its padding and has ``function`` compute the output. */
void depthwise_planes_s8(const depthwise_planar_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch,
                         depthwise_plane_function *function);

static inline int8_t depthwise_output(int32_t doubled, int32_t multiplier, int32_t rounding, uint32_t shift) {
  const int32_t value = smmlar((uint32_t)doubled, (uint32_t)multiplier, rounding + (doubled >> 31));
  return (int8_t)ssat8_half(value >> shift);
}

/* The unrolled kernels in C99, for machines without DSP instructions. */
static inline void depthwise_plane_plain(const depthwise_plane *plane, int32_t height, int32_t width) {
  for (int32_t y = 0; y < plane->rows; y++) {
    for (int32_t x = 0; x < plane->columns; x++) {
      const int8_t *from = plane->from + y * plane->row + x, *weights = plane->weights;
      int32_t sum = 0;
      for (int32_t i = 0; i < height; i++, from += plane->row) {
        for (int32_t j = 0; j < width; j++) sum += *weights++ * from[j];
      }
      int8_t *to = plane->to + y * plane->to_row + x * plane->to_column;
      *to = depthwise_output(2 * sum + plane->bias, plane->multiplier, plane->rounding, plane->shift);
    }
  }
}

#if TINYFLOW_DSP

/* A word of four pixels as pixels (0, 2) and (1, 3). */
/* clang-format off */
#define DEPTHWISE_SPLIT(even, odd)             \
  "sxtb16 " odd ", " even ", ror #8\n"         \
  "sxtb16 " even ", " even "\n"

/* requant_s8_shared with the multiplier in r6, rounding in r7, shift in r1; r2 is free. */
#define DEPTHWISE_REQUANT(sum)                 \
  "add r2, r7, " sum ", asr #31\n"             \
  "smmlar " sum ", " sum ", r6, r2\n"          \
  "asr " sum ", " sum ", r1\n"                 \
  "ssat " sum ", #8, " sum ", asr #1\n"

/* What the functions of a whole plane in assembly share: blocks of two rows of two outputs, an odd column alone, an odd
 * row twice. On the stack are the first twelve words of the plane, then: 32 where `from` ends in this row, 36 rows, 40
 * and 44 what takes from and to to the next blocks, 48 two rows of pixels, 52 whether there is an odd column. A block's
 * sums are in r0 and r3, r4 and r5, its `from` in r12, its `to` in lr. `own`: instructions of the kernel that need r2,
 * the row. */
#define DEPTHWISE_FUNCTION(name)                                                   \
  ".pushsection .text." name ", \"ax\", %progbits\n"                               \
  ".syntax unified\n.thumb\n.balign 4\n"                                           \
  ".global " name "\n.type " name ", %function\n.thumb_func\n"                     \
  name ":\n"                                                                        \
  "push {r4-r11, lr}\n"
#define DEPTHWISE_FRAME(own)                                                       \
  "sub sp, #8\nldm r0, {r1-r12}\npush {r1-r12}\n"                                  \
  "bic r0, r12, #1\nand r12, #1\n" /* columns in pairs */                          \
  "lsl r1, r2, #1\nstrd r1, r12, [sp, #48]\nsub r1, r0\n" own                      \
  "lsl r2, r7, #1\nmls r2, r0, r8, r2\nstrd r1, r2, [sp, #40]\n"                   \
  "mov r12, r9\nmov lr, r10\nadd r1, r12, r0\nstrd r1, r11, [sp, #32]\nmov r0, r11\n"
#define DEPTHWISE_ROWS /* 1: two rows, or one that is left; 3: a block */          \
  "1:\ncmp r0, #1\nbne 2f\nmov r0, #0\nstr r0, [sp, #24]\n"                       \
  "2:\nldr r1, [sp, #32]\ncmp r12, r1\nbeq 4f\n3:\n"
#define DEPTHWISE_STORE /* the block; 4: what is left of these rows */             \
  "ldrd r6, r7, [sp, #24]\nldr r1, [sp, #32]\n"                                    \
  "strb r4, [lr, r6]\nstrb r0, [lr]\nadd lr, r7\n"                                 \
  "strb r5, [lr, r6]\nstrb r3, [lr]\nadd lr, r7\n"                                 \
  "cmp r12, r1\nbne 3b\n"                                                          \
  "4:\nldr r1, [sp, #52]\ncmp r1, #0\nbeq 5f\n"
#define DEPTHWISE_STORE_ODD "ldr r6, [sp, #24]\nstrb r4, [lr, r6]\nstrb r0, [lr]\n"
#define DEPTHWISE_END(name, stack) /* 5: to the next rows */                       \
  "5:\nldrd r4, r0, [sp, #32]\nldrd r1, r2, [sp, #40]\nldr r3, [sp, #48]\n"        \
  "add r12, r1\nadd lr, r2\nadd r4, r3\nsubs r0, #2\nstrd r4, r0, [sp, #32]\nbgt 1b\n" \
  "add sp, #" stack "\npop {r4-r11, pc}\n"                                          \
  ".size " name ", . - " name "\n.popsection\n"
/* clang-format on */

#endif

#endif
