/* SPDX-License-Identifier: Apache-2.0 */
#include "matmul_s8.h"

#include "requant.h"

enum { UNROLLED = 4 }; /* quads, a power of two */

static void channel(const matmul_s8_block *block, const int32_t sums[MATMUL_PIXELS], int32_t multiplier, uint32_t shift,
                    int8_t *output) {
  const int32_t places[MATMUL_PIXELS] = {0, block->second, block->third};
  for (int32_t pixel = 0; pixel < MATMUL_PIXELS; pixel++)
    output[places[pixel]] = requant_s8_shared(2 * sums[pixel], multiplier, block->rounding, shift);
}

static inline void pairs(const matmul_s8_block *block, int32_t fused) {
  const int32_t *stream = block->stream;
  int8_t *output = block->output;
  while (stream < block->stream_end) {
    int32_t first[MATMUL_PIXELS], other[MATMUL_PIXELS];
    const int32_t bias = fused ? fused_other(stream[0], stream[1]) : stream[1];
    for (int32_t pixel = 0; pixel < MATMUL_PIXELS; pixel++) first[pixel] = stream[0], other[pixel] = bias;
    stream += 2;
    for (const uint32_t *column = block->columns; column < block->columns_end; column += MATMUL_PIXELS) {
      const uint32_t word = (uint32_t)*stream++, weights = sxtb16(word);
      const uint32_t others = fused ? fused_others(word) : sxtb16_ror8(word);
      for (int32_t pixel = 0; pixel < MATMUL_PIXELS; pixel++) {
        first[pixel] = smlad(weights, column[pixel], first[pixel]);
        other[pixel] = smlad(others, column[pixel], other[pixel]);
      }
    }
    const uint32_t shifts = (uint32_t)stream[1];
    channel(block, first, stream[0], shifts & 255, output);
    output += block->channel_stride;
    channel(block, other, stream[2], shifts >> 8, output);
    output += block->channel_stride;
    stream += 3;
  }
}

void matmul_s8_pairs_wide(const matmul_s8_block *block) { pairs(block, 0); }

#if TINYFLOW_DSP

/* requant_s8_shared of a doubled sum, in place: a multiplier, a shift, the rounding, and a register that is free. */
/* clang-format off */
#define PLAIN(sum, multiplier, shift, rounding, free)                                                  \
  "smmlar " sum ", " sum ", " multiplier ", " rounding "\n"                                             \
  "asr " sum ", " sum ", " shift "\nssat " sum ", #8, " sum ", asr #1\n"
#define TIES(sum, multiplier, shift, rounding, free)                                                   \
  "add " free ", " rounding ", " sum ", asr #31\n"                                                    \
  "smmlar " sum ", " sum ", " multiplier ", " free "\n"                                                 \
  "asr " sum ", " sum ", " shift "\nssat " sum ", #8, " sum ", asr #1\n"
/* clang-format on */

#if TINYFLOW_MVE

/* Two channels times three pixels, eight inputs in 15 instructions for 48 MACs: four words of the stream are eight
 * halves of weights, and the columns of one pixel lie three words apart. r0, r2, r4: the sums of the first channel; r6,
 * r8, r10: of the second; r11 walks through the columns, r12 through the stream; q3 to q5: where the words of each
 * pixel lie. On the stack: 0 rounding, 4 output, 8 second, 12 third, 16 channel stride, 20 end of the stream, 24 words
 * of a pair, 28 columns. */
/* clang-format off */
#define PAIRS(name, REQUANT)                                                                           \
  __asm__(".pushsection .text." name ", \"ax\", %progbits\n"                                          \
          ".syntax unified\n.thumb\n.balign 4\n.global " name "\n.type " name ", %function\n.thumb_func\n" \
          name ":\n"                                                                                   \
          "push {r4-r11, lr}\n"                                                                        \
          "vpush {d8-d11}\n"                                                                           \
          "ldm r0, {r1-r9, r12}\n"                                                                     \
          "sub r7, r8\n"                                                                               \
          "mov r10, #12\n"                                                                             \
          "udiv r7, r7, r10\n"                                                                         \
          "push {r1-r8}\n"                                                                             \
          "mov r10, #0\n"                                                                              \
          "vidup.u32 q3, r10, #1\n"                                                                    \
          "mov r10, #3\n"                                                                              \
          "vmul.i32 q3, q3, r10\n"                                                                     \
          "mov r10, #1\n"                                                                              \
          "vadd.i32 q4, q3, r10\n"                                                                     \
          "vadd.i32 q5, q4, r10\n"                                                                     \
          "1:\n"                                                                                       \
          "ldrd r0, r6, [r12], #8\n"                                                                   \
          "sub r6, r6, r0\nasr r6, r6, #8\n"                                                          \
          "mov r2, r0\nmov r4, r0\nmov r8, r6\nmov r10, r6\n"                                       \
          "ldrd lr, r11, [sp, #24]\n"                                                                  \
          "add r9, r12, lr, lsl #2\n"                                                                  \
          "dlstp.32 lr, lr\n"                                                                          \
          "2:\n"                                                                                       \
          "vldrw.u32 q0, [r12], #16\n"                                                                 \
          "vmovlb.s8 q1, q0\nvsub.i16 q0, q0, q1\nvshr.s16 q0, q0, #8\n"                            \
          "vldrw.u32 q2, [r11, q3, uxtw #2]\nvmladava.s16 r0, q1, q2\nvmladava.s16 r6, q0, q2\n"    \
          "vldrw.u32 q2, [r11, q4, uxtw #2]\nvmladava.s16 r2, q1, q2\nvmladava.s16 r8, q0, q2\n"    \
          "vldrw.u32 q2, [r11, q5, uxtw #2]\nvmladava.s16 r4, q1, q2\nvmladava.s16 r10, q0, q2\n"   \
          "add r11, #48\n"                                                                             \
          "letp lr, 2b\n"                                                                              \
          "mov r12, r9\n"                                                                              \
          "ldrd r1, r3, [r12], #8\n" /* a multiplier; both shifts */                                   \
          "ldrd r5, r7, [sp]\n"                                                                        \
          "lsl r9, r5, r3\n"                                                                           \
          "lsl r0, r0, #1\n" REQUANT("r0", "r1", "r3", "r9", "lr") "strb r0, [r7]\n"                 \
          "ldr r11, [sp, #8]\n"                                                                        \
          "lsl r2, r2, #1\n" REQUANT("r2", "r1", "r3", "r9", "lr") "strb r2, [r7, r11]\n"            \
          "ldr r0, [sp, #12]\n"                                                                        \
          "lsl r4, r4, #1\n" REQUANT("r4", "r1", "r3", "r9", "lr") "strb r4, [r7, r0]\n"             \
          "ldrd r2, r4, [sp, #16]\n"                                                                   \
          "add r7, r2\n"                                                                               \
          "ldr r1, [r12], #4\n"                                                                        \
          "lsr r3, r3, #8\n"                                                                           \
          "lsl r9, r5, r3\n"                                                                           \
          "lsl r6, r6, #1\n" REQUANT("r6", "r1", "r3", "r9", "lr") "strb r6, [r7]\n"                 \
          "lsl r8, r8, #1\n" REQUANT("r8", "r1", "r3", "r9", "lr") "strb r8, [r7, r11]\n"            \
          "lsl r10, r10, #1\n" REQUANT("r10", "r1", "r3", "r9", "lr") "strb r10, [r7, r0]\n"         \
          "add r7, r2\n"                                                                               \
          "str r7, [sp, #4]\n"                                                                         \
          "cmp r12, r4\n"                                                                              \
          "bne 1b\n"                                                                                   \
          "add sp, #32\n"                                                                              \
          "vpop {d8-d11}\n"                                                                            \
          "pop {r4-r11, pc}\n"                                                                         \
          ".size " name ", . - " name "\n.popsection\n")
/* clang-format on */

#else

/* Two channels times three pixels, four inputs in 17 instructions for 24 MACs. r0-r2: the sums of the first channel;
 * r3-r5: the fused ones; r8: the end of the columns; r12 walks through the stream, lr through the columns. a0 to b2:
 * where the sums come from. */
/* clang-format off */
#define QUAD(a0, a1, a2, b0, b1, b2)                                                                 \
  "ldrd r6, r7, [r12], #8\n"                                                                         \
  "ldm lr!, {r9, r10, r11}\n"                                                                        \
  "smlad r5, r6, r11, " b2 "\nsmlad r4, r6, r10, " b1 "\nsmlad r3, r6, r9, " b0 "\nsxtb16 r6, r6\n"  \
  "smlad r2, r6, r11, " a2 "\nsmlad r1, r6, r10, " a1 "\nsmlad r0, r6, r9, " a0 "\n"                 \
  "ldm lr!, {r9, r10, r11}\n"                                                                        \
  "smlad r3, r7, r9, r3\nsmlad r4, r7, r10, r4\nsmlad r5, r7, r11, r5\nsxtb16 r7, r7\n"             \
  "smlad r0, r7, r9, r0\nsmlad r1, r7, r10, r1\nsmlad r2, r7, r11, r2\n"

/* On the stack: 0 rounding, 4 output, 8 second, 12 third, 16 channel stride, 20 end of the stream, 24 end of the
 * columns, 28 columns, 32 where the loop is entered: `skipped` quads late. */
#define PAIRS(name, REQUANT)                                                                           \
  __asm__(".pushsection .text." name ", \"ax\", %progbits\n"                                          \
          ".syntax unified\n.thumb\n.balign 4\n.global " name "\n.type " name ", %function\n.thumb_func\n" \
          name ":\n"                                                                                   \
          "push {r4-r11, lr}\n"                                                                        \
          "ldm r0, {r1-r9, r12}\n"                                                                     \
          "adr r10, 2f + 1\n"                                                                          \
          "mov r11, #68\n" /* bytes of a quad */                                                       \
          "mla r9, r9, r11, r10\n"                                                                     \
          "push {r1-r9}\n"                                                                             \
          "1:\n"                                                                                       \
          "ldrd r0, r3, [r12], #8\n"                                                                   \
          "ldrd r8, lr, [sp, #24]\n"                                                                   \
          QUAD("r0", "r0", "r0", "r3", "r3", "r3")                                                     \
          "ldr pc, [sp, #32]\n"                                                                        \
          ".balign 4\n"                                                                                \
          "2:\n"                                                                                       \
          ".rept 4\n" /* UNROLLED */                                                                   \
          QUAD("r0", "r1", "r2", "r3", "r4", "r5")                                                     \
          ".endr\n"                                                                                    \
          "cmp lr, r8\n"                                                                               \
          "bne 2b\n"                                                                                   \
          "sub r3, r3, r0\nsub r4, r4, r1\nsub r5, r5, r2\n" /* 256 times the second channel's */      \
          "ldrd r6, r7, [r12], #8\n" /* a multiplier; both shifts */                                   \
          "ldrd r8, r9, [sp]\n"                                                                        \
          "lsl lr, r8, r7\n"                                                                           \
          "lsl r0, r0, #1\n" REQUANT("r0", "r6", "r7", "lr", "r10") "strb r0, [r9]\n"                  \
          "ldrd r10, r11, [sp, #8]\n"                                                                  \
          "lsl r1, r1, #1\n" REQUANT("r1", "r6", "r7", "lr", "r0") "strb r1, [r9, r10]\n"              \
          "lsl r2, r2, #1\n" REQUANT("r2", "r6", "r7", "lr", "r0") "strb r2, [r9, r11]\n"              \
          "ldrd r0, r1, [sp, #16]\n"                                                                   \
          "add r9, r0\n"                                                                               \
          "ldr r6, [r12], #4\n"                                                                        \
          "lsr r7, r7, #8\n"                                                                           \
          "lsl lr, r8, r7\n"                                                                           \
          "asr r3, r3, #7\n" REQUANT("r3", "r6", "r7", "lr", "r2") "strb r3, [r9]\n"                   \
          "asr r4, r4, #7\n" REQUANT("r4", "r6", "r7", "lr", "r2") "strb r4, [r9, r10]\n"              \
          "asr r5, r5, #7\n" REQUANT("r5", "r6", "r7", "lr", "r2") "strb r5, [r9, r11]\n"              \
          "add r9, r0\n"                                                                               \
          "str r9, [sp, #4]\n"                                                                         \
          "cmp r12, r1\n"                                                                              \
          "bne 1b\n"                                                                                   \
          "add sp, #36\n"                                                                              \
          "pop {r4-r11, pc}\n"                                                                         \
          ".size " name ", . - " name "\n.popsection\n")
/* clang-format on */

#endif

PAIRS("matmul_s8_pairs", TIES);
PAIRS("matmul_s8_pairs_plain", PLAIN);

#else

void matmul_s8_pairs(const matmul_s8_block *block) { pairs(block, 1); }
void matmul_s8_pairs_plain(const matmul_s8_block *block) { pairs(block, 1); }

#endif

uint32_t *matmul_s8_widen(uint32_t *columns, const int8_t *const pixels[MATMUL_PIXELS], int32_t quads) {
  const int8_t *x0 = pixels[0], *x1 = pixels[1], *x2 = pixels[2];
#if TINYFLOW_DSP
  __asm__ volatile(
      "1:\n"
      "ldr r3, [%1], #4\n"
      "ldr r4, [%2], #4\n"
      "ldr r5, [%3], #4\n"
      "sxtb16 r6, r3, ror #8\nsxtb16 r3, r3\n"
      "sxtb16 r8, r4, ror #8\nsxtb16 r4, r4\n"
      "sxtb16 r9, r5, ror #8\nsxtb16 r5, r5\n"
      "subs %4, #1\n"
      "stm %0!, {r3, r4, r5, r6, r8, r9}\n"
      "bne 1b\n"
      : "+r"(columns), "+r"(x0), "+r"(x1), "+r"(x2), "+r"(quads)
      :
      : "r3", "r4", "r5", "r6", "r8", "r9", "cc", "memory");
#else
  for (; quads > 0; quads--, columns += MATMUL_QUAD_WORDS, x0 += 4, x1 += 4, x2 += 4) {
    const uint32_t words[MATMUL_PIXELS] = {read_word(x0), read_word(x1), read_word(x2)};
    for (int32_t pixel = 0; pixel < MATMUL_PIXELS; pixel++) {
      columns[pixel] = sxtb16(words[pixel]);
      columns[pixel + MATMUL_PIXELS] = sxtb16_ror8(words[pixel]);
    }
  }
#endif
  return columns;
}

void matmul_s8_widen_neighbours(uint32_t *columns, const int8_t *pixel, int32_t quads, int32_t stride) {
#if TINYFLOW_DSP
  __asm__ volatile(
      "1:\n"
      "ldr r3, [%1]\n"
      "ldr r4, [%1, %3, lsl #1]\n"
      "sxtb16 r5, r3\nsxtb16 r6, r4\nsxtb16 r3, r3, ror #8\nsxtb16 r4, r4, ror #8\n"
      "pkhbt r4, r3, r4, lsl #16\npkhbt r3, r5, r6, lsl #16\npkhtb r5, r6, r5, asr #16\n"
      "ldr r6, [%1, %3]\n"
      "ldr r8, [%1, %4]\n"
      "sxtb16 r9, r6\nsxtb16 r10, r8\nsxtb16 r6, r6, ror #8\nsxtb16 r8, r8, ror #8\n"
      "pkhbt r8, r6, r8, lsl #16\npkhbt r6, r9, r10, lsl #16\npkhtb r9, r10, r9, asr #16\n"
      "add %1, %1, %3, lsl #2\n"
      "subs %2, #1\n"
      "stm %0!, {r3, r4, r5, r6, r8, r9}\n"
      "bne 1b\n"
      : "+r"(columns), "+r"(pixel), "+r"(quads)
      : "r"(stride), "r"(3 * stride)
      : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "cc", "memory");
#else
  matmul_s8_widen_planes(columns, pixel, 1, 2, 4 * quads, stride);
#endif
}

void matmul_s8_widen_planes(uint32_t *columns, const int8_t *pixel, int32_t second, int32_t third, int32_t channels,
                            int32_t stride) {
  int32_t to1 = stride, to2 = stride, to3 = stride;
  for (; channels > 0; channels -= 4, columns += MATMUL_QUAD_WORDS) {
    if (channels < 4) { /* reads a channel again where there are no more */
      to3 = 0;
      if (channels < 3) to2 = 0;
      if (channels < 2) to1 = 0;
    }
    const int32_t a0 = pixel[0], a1 = pixel[second], a2 = pixel[third];
    pixel += to1;
    const int32_t b0 = pixel[0], b1 = pixel[second], b2 = pixel[third];
    pixel += to2;
    columns[0] = pkhbt(a0, pixel[0]);
    columns[1] = pkhbt(a1, pixel[second]);
    columns[2] = pkhbt(a2, pixel[third]);
    pixel += to3;
    columns[3] = pkhbt(b0, pixel[0]);
    columns[4] = pkhbt(b1, pixel[second]);
    columns[5] = pkhbt(b2, pixel[third]);
    pixel += stride;
  }
}

void matmul_s8_begin(matmul_s8_block *block, const matmul_s8 *p, const uint32_t *columns, int32_t channel_stride) {
  const int32_t quads = p->depth / 4;
  block->rounding = p->rounding;
  block->channel_stride = channel_stride;
  block->columns = columns;
  block->columns_end = columns + quads * MATMUL_QUAD_WORDS;
  block->skipped = quads == 1 ? UNROLLED : -(quads - 1) & (UNROLLED - 1); /* the first quad stands before the loop */
  block->stream = p->stream;
  block->stream_end = p->stream + p->words;
}

void matmul_s8_run(const matmul_s8_block *block, const matmul_s8 *p, matmul_s8_pairs_function *run) {
  if (p->channels & 1) { /* the last channel is the second of a pair, whose first goes to the same place before it */
    matmul_s8_block even = *block, last = *block;
    even.stream_end -= p->depth / 2 + 5;
    last.stream = even.stream_end;
    last.output += (p->channels - 1) * block->channel_stride;
    last.channel_stride = 0;
    if (p->channels > 1) run(&even);
    run(&last);
  } else {
    run(block);
  }
  if (!p->bounded) return;
  const int32_t places[MATMUL_PIXELS] = {0, block->second, block->third};
  for (int32_t pixel = 0; pixel < MATMUL_PIXELS; pixel++) {
    int8_t *output = block->output + places[pixel];
    for (int32_t c = 0; c < p->channels; c++, output += block->channel_stride)
      *output = (int8_t)clamp_s32(*output, p->activation_min, p->activation_max);
  }
}
