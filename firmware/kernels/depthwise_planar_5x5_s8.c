/* SPDX-License-Identifier: Apache-2.0 */
#include "depthwise.h"

#if TINYFLOW_DSP

/* As depthwise_planar_3x3_plane: blocks of two rows of two outputs, from six rows of pixels. Two words, two pixels
 * apart, give pixels (0, 2) in r6, (1, 3) in r7, (2, 4) in r8 and (3, 5) in r9; the left output takes taps (0, 2), (1,
 * 3) and 4 from r6, r7 and the top of r8, the right one from r7, r8 and the top of r9: twelve instructions for ten
 * MACs. The words of a row serve the lower outputs with the weights (r10, r11, r2) of the row before, then the upper
 * ones with its own.
 *
 * r0 and r3: sums of the upper row, left and right; r4 and r5: of the lower; r1: row; r12: from; lr: to.
 * On the stack: 0 bias, 4 row, 8 what takes from back to the next block, 12 multiplier, 16 rounding, 20 shift, 24
 * to_row, 28 to_column, 32 where `from` ends in this row, 36 rows, 40 and 44 what takes from and to to the next blocks,
 * 48 two rows of pixels, 52 whether there is an odd column, 56 weights: three words for each row of the filter. */
#define LOAD "ldr r6, [r12]\nldr r8, [r12, #2]\n"
#define SPLIT DEPTHWISE_SPLIT("r6", "r7") DEPTHWISE_SPLIT("r8", "r9")
#define WEIGHTS(row) "ldrd r10, r11, [sp, #56 + 12 * " #row "]\nldr r2, [sp, #64 + 12 * " #row "]\n"
#define UPPER                                      \
  "smlad r0, r6, r10, r0\nsmlad r3, r7, r10, r3\n" \
  "smlad r0, r7, r11, r0\nsmlad r3, r8, r11, r3\n" \
  "smlatb r0, r8, r2, r0\nsmlatb r3, r9, r2, r3\n"
#define LOWER                                      \
  "smlad r4, r6, r10, r4\nsmlad r5, r7, r10, r5\n" \
  "smlad r4, r7, r11, r4\nsmlad r5, r8, r11, r5\n" \
  "smlatb r4, r8, r2, r4\nsmlatb r5, r9, r2, r5\n"
#define NEXT "add r12, r1\n"

/* The odd column needs of the second word its pixel 4 alone. */
#define LOAD_ODD "ldr r6, [r12]\nldrsb r8, [r12, #4]\n" DEPTHWISE_SPLIT("r6", "r7")
#define UPPER_ODD "smlad r0, r6, r10, r0\nsmlad r0, r7, r11, r0\nsmlabb r0, r8, r2, r0\n"
#define LOWER_ODD "smlad r4, r6, r10, r4\nsmlad r4, r7, r11, r4\nsmlabb r4, r8, r2, r4\n"

__asm__(
    DEPTHWISE_FUNCTION("depthwise_planar_5x5_plane")
    "ldr r1, [r0, #8]\n" /* weights, doubled, the last row first */
    "add r1, #20\n"
    "mov r2, #5\n"
    "1:\n"
    "ldrsb r6, [r1, #4]\n"
    "ldr r4, [r1], #-5\n"
    DEPTHWISE_SPLIT("r4", "r5")
    "sadd16 r4, r4, r4\nsadd16 r5, r5, r5\nlsl r6, r6, #1\n"
    "push {r4-r6}\n"
    "subs r2, #1\n"
    "bne 1b\n"
    DEPTHWISE_FRAME("add r2, r2, r2, lsl #2\nsub r2, #2\nstr r2, [sp, #8]\n")
    DEPTHWISE_ROWS
    "ldrd r0, r1, [sp]\n" LOAD SPLIT WEIGHTS(0)
    "mov r4, r0\nmov r5, r0\nmov r3, r0\n"
    UPPER NEXT LOAD SPLIT LOWER WEIGHTS(1)
    UPPER NEXT LOAD SPLIT LOWER WEIGHTS(2)
    UPPER NEXT LOAD SPLIT LOWER WEIGHTS(3)
    UPPER NEXT LOAD SPLIT LOWER WEIGHTS(4)
    UPPER NEXT LOAD SPLIT LOWER
    "ldr r2, [sp, #8]\n"
    "ldrd r6, r7, [sp, #12]\n"
    "ldr r1, [sp, #20]\n"
    "sub r12, r2\n"
    DEPTHWISE_REQUANT("r0")
    DEPTHWISE_REQUANT("r3")
    DEPTHWISE_REQUANT("r4")
    DEPTHWISE_REQUANT("r5")
    DEPTHWISE_STORE
    "ldrd r0, r1, [sp]\n" LOAD_ODD WEIGHTS(0)
    "mov r4, r0\n"
    UPPER_ODD NEXT LOAD_ODD LOWER_ODD WEIGHTS(1)
    UPPER_ODD NEXT LOAD_ODD LOWER_ODD WEIGHTS(2)
    UPPER_ODD NEXT LOAD_ODD LOWER_ODD WEIGHTS(3)
    UPPER_ODD NEXT LOAD_ODD LOWER_ODD WEIGHTS(4)
    UPPER_ODD NEXT LOAD_ODD LOWER_ODD
    "ldrd r6, r7, [sp, #12]\n"
    "ldr r1, [sp, #20]\n"
    DEPTHWISE_REQUANT("r0")
    DEPTHWISE_REQUANT("r4")
    DEPTHWISE_STORE_ODD
    "ldr r12, [sp, #32]\n"
    DEPTHWISE_END("depthwise_planar_5x5_plane", "116"));

#else

void depthwise_planar_5x5_plane(const depthwise_plane *plane) { depthwise_plane_plain(plane, 5, 5); }

#endif

void depthwise_planar_5x5_s8(const depthwise_planar_s8_params *p, const int8_t *input, int8_t *output,
                             int8_t *scratch) {
  depthwise_planes_s8(p, input, output, scratch, depthwise_planar_5x5_plane);
}
