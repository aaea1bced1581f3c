/* SPDX-License-Identifier: Apache-2.0 */
#include "depthwise.h"

#if TINYFLOW_DSP

/* Blocks of two rows of two outputs from four words of pixels, row of blocks after row of blocks; an odd column is
 * summed alone, an odd row twice (a to_row of 0, and the right one is written last).
 *
 * A word gives pixels (0, 2) and (1, 3). The left output takes its taps (0, 2) from the first and its middle tap from
 * the second, the right output the other way round: seven instructions for six MACs.
 *
 * r0 and r3: sums of the upper row, left and right; r4 and r5: of the lower; r6 and r7: pixels; r12: from; lr: to.
 * Taps (0, 2) of each row: r2 (0 bias, 4 row and 8 taps are reloaded for every block), r8, r9; middle taps: r10 (two),
 * r11. On the stack too: 12 multiplier, 16 rounding, 20 shift, 24 to_row, 28 to_column, 32 where `from` ends in this
 * row, 36 rows, 40 and 44 what takes from and to to the next blocks, 48 two rows of pixels, 52 whether there is an odd
 * column. */
__asm__(
    DEPTHWISE_FUNCTION("depthwise_planar_3x3_plane")
    DEPTHWISE_FRAME("")
    "ldr r6, [r3]\n" /* weights, doubled */
    "ldr r8, [r3, #3]\n"
    "ldr r9, [r3, #6]\n"
    DEPTHWISE_SPLIT("r6", "r10")
    DEPTHWISE_SPLIT("r8", "r7")
    DEPTHWISE_SPLIT("r9", "r11")
    "pkhbt r10, r10, r7, lsl #16\n"
    "sadd16 r6, r6, r6\nsadd16 r8, r8, r8\nsadd16 r9, r9, r9\nsadd16 r10, r10, r10\nsadd16 r11, r11, r11\n"
    "str r6, [sp, #8]\n"
    DEPTHWISE_ROWS /* a block; the second row of pixels meets all four outputs, which begin as the bias */
    "ldm sp, {r0-r2}\n"
    "ldr r6, [r12, r1]\n"
    DEPTHWISE_SPLIT("r6", "r7")
    "smlad r4, r6, r2, r0\nsmlad r5, r7, r2, r0\n"
    "smlad r3, r7, r8, r0\nsmlad r0, r6, r8, r0\n"
    "smlabb r4, r7, r10, r4\nsmlatb r5, r6, r10, r5\n"
    "smlabt r0, r7, r10, r0\nsmlatt r3, r6, r10, r3\n"
    "ldr r6, [r12, r1, lsl #1]\n"
    DEPTHWISE_SPLIT("r6", "r7")
    "smlad r0, r6, r9, r0\nsmlad r3, r7, r9, r3\n"
    "smlad r4, r6, r8, r4\nsmlad r5, r7, r8, r5\n"
    "smlabb r0, r7, r11, r0\nsmlatb r3, r6, r11, r3\n"
    "smlabt r4, r7, r10, r4\nsmlatt r5, r6, r10, r5\n"
    "add r6, r12, r1, lsl #1\n"
    "ldr r6, [r6, r1]\n"
    DEPTHWISE_SPLIT("r6", "r7")
    "smlad r4, r6, r9, r4\nsmlad r5, r7, r9, r5\n"
    "smlabb r4, r7, r11, r4\nsmlatb r5, r6, r11, r5\n"
    "ldr r6, [r12], #2\n"
    DEPTHWISE_SPLIT("r6", "r7")
    "smlad r0, r6, r2, r0\nsmlad r3, r7, r2, r3\n"
    "smlabb r0, r7, r10, r0\nsmlatb r3, r6, r10, r3\n"
    "ldrd r6, r7, [sp, #12]\n"
    "ldr r1, [sp, #20]\n"
    DEPTHWISE_REQUANT("r0")
    DEPTHWISE_REQUANT("r3")
    DEPTHWISE_REQUANT("r4")
    DEPTHWISE_REQUANT("r5")
    DEPTHWISE_STORE
    "ldm sp, {r0-r2}\n" /* the odd column */
    "ldr r6, [r12, r1]\n"
    DEPTHWISE_SPLIT("r6", "r7")
    "smlad r4, r6, r2, r0\nsmlad r0, r6, r8, r0\n"
    "smlabb r4, r7, r10, r4\nsmlabt r0, r7, r10, r0\n"
    "ldr r6, [r12, r1, lsl #1]\n"
    DEPTHWISE_SPLIT("r6", "r7")
    "smlad r0, r6, r9, r0\nsmlad r4, r6, r8, r4\n"
    "smlabb r0, r7, r11, r0\nsmlabt r4, r7, r10, r4\n"
    "add r6, r12, r1, lsl #1\n"
    "ldr r6, [r6, r1]\n"
    DEPTHWISE_SPLIT("r6", "r7")
    "smlad r4, r6, r9, r4\nsmlabb r4, r7, r11, r4\n"
    "ldr r6, [r12]\n"
    DEPTHWISE_SPLIT("r6", "r7")
    "smlad r0, r6, r2, r0\nsmlabb r0, r7, r10, r0\n"
    "ldrd r6, r7, [sp, #12]\n"
    "ldr r1, [sp, #20]\n"
    DEPTHWISE_REQUANT("r0")
    DEPTHWISE_REQUANT("r4")
    DEPTHWISE_STORE_ODD
    DEPTHWISE_END("depthwise_planar_3x3_plane", "56"));

#else

void depthwise_planar_3x3_plane(const depthwise_plane *plane) { depthwise_plane_plain(plane, 3, 3); }

#endif

void depthwise_planar_3x3_s8(const depthwise_planar_s8_params *p, const int8_t *input, int8_t *output,
                             int8_t *scratch) {
  depthwise_planes_s8(p, input, output, scratch, depthwise_planar_3x3_plane);
}
