/* SPDX-License-Identifier: Apache-2.0 */
#include "matmul_s8.h"
#include "requant.h"

enum { OUTPUTS = 4 }; /* side by side */

static inline void sums_of(const int32_t *stream, const uint32_t *columns, const uint32_t *end, int32_t sums[OUTPUTS],
                           int32_t fused) {
  for (int32_t out = 0; out < OUTPUTS; out++)
    sums[out] = fused && (out & 1) ? fused_other(stream[out - 1], stream[out]) : stream[out];
  for (stream += OUTPUTS; columns < end; columns += 2) {
    for (int32_t i = 0; i < OUTPUTS; i++) { /* two words of each pair */
      const uint32_t word = (uint32_t)*stream++;
      int32_t *sum = sums + (i & ~1);
      sum[0] = smlad(sxtb16(word), columns[i & 1], sum[0]);
      sum[1] = smlad(fused ? fused_others(word) : sxtb16_ror8(word), columns[i & 1], sum[1]);
    }
  }
}

void fully_connected_packed_s8_sums_wide(const int32_t *stream, const uint32_t *columns, const uint32_t *end,
                                         int32_t sums[OUTPUTS]) {
  sums_of(stream, columns, end, sums, 0);
}

#if TINYFLOW_DSP

#if TINYFLOW_MVE

/* Eight inputs of four outputs: 16 instructions for 32 MACs. r4, r8, r6, r10: the sums; q3: where the words of a pair
 * lie. */
__asm__(
    ".pushsection .text.fully_connected_packed_s8_sums, \"ax\", %progbits\n"
    ".syntax unified\n.thumb\n.balign 4\n"
    ".global fully_connected_packed_s8_sums\n.type fully_connected_packed_s8_sums, %function\n.thumb_func\n"
    "fully_connected_packed_s8_sums:\n"
    "push {r3-r11, lr}\n"
    "ldm r0!, {r4, r5, r6, r7}\n"
    "sub r8, r5, r4\nasr r8, r8, #8\n"
    "sub r10, r7, r6\nasr r10, r10, #8\n"
    "mov r12, #0\n"
    "vidup.u32 q3, r12, #1\n"
    "vmov.i32 q0, #2\n"
    "vand q0, q0, q3\n"
    "vadd.i32 q3, q3, q0\n" /* 0, 1, 4, 5 */
    "add r5, r0, #8\n"
    "sub r2, r2, r1\n"
    "lsr r2, r2, #2\n"
    "dlstp.32 lr, r2\n"
    "1:\n"
    "vldrw.u32 q2, [r1], #16\n"
    "vldrw.u32 q0, [r0, q3, uxtw #2]\n"
    "vmovlb.s8 q1, q0\nvsub.i16 q0, q0, q1\nvshr.s16 q0, q0, #8\n"
    "vmladava.s16 r4, q1, q2\nvmladava.s16 r8, q0, q2\n"
    "vldrw.u32 q0, [r5, q3, uxtw #2]\n"
    "vmovlb.s8 q1, q0\nvsub.i16 q0, q0, q1\nvshr.s16 q0, q0, #8\n"
    "vmladava.s16 r6, q1, q2\nvmladava.s16 r10, q0, q2\n"
    "add r0, #32\nadd r5, #32\n"
    "letp lr, 1b\n"
    "pop {r0}\n"
    "strd r4, r8, [r0]\n"
    "strd r6, r10, [r0, #8]\n"
    "pop {r4-r11, pc}\n"
    ".size fully_connected_packed_s8_sums, . - fully_connected_packed_s8_sums\n"
    ".popsection\n");

#else

/* Four inputs of four outputs: 14 instructions for 16 MACs. r4 and r6 are fused sums. */
/* clang-format off */
#define QUAD                                                                          \
  "ldm r0!, {r7, r8, r9, r10}\n"                                                      \
  "ldrd r11, r12, [r1], #8\n"                                                         \
  "smlad r4, r7, r11, r4\nsxtb16 r7, r7\nsmlad r3, r7, r11, r3\n"                     \
  "smlad r4, r8, r12, r4\nsxtb16 r8, r8\nsmlad r3, r8, r12, r3\n"                     \
  "smlad r6, r9, r11, r6\nsxtb16 r9, r9\nsmlad r5, r9, r11, r5\n"                     \
  "smlad r6, r10, r12, r6\nsxtb16 r10, r10\nsmlad r5, r10, r12, r5\n"
/* clang-format on */

__asm__(
    ".pushsection .text.fully_connected_packed_s8_sums, \"ax\", %progbits\n"
    ".syntax unified\n.thumb\n.balign 4\n"
    ".global fully_connected_packed_s8_sums\n.type fully_connected_packed_s8_sums, %function\n.thumb_func\n"
    "fully_connected_packed_s8_sums:\n"
    "push {r3-r11, lr}\n"
    "sub lr, r2, r1\n"
    "tst lr, #8\n"
    "ldm r0!, {r3, r4, r5, r6}\n"
    "bne 2f\n" /* an odd number of quads */
    "1:\n" QUAD "2:\n" QUAD
    "cmp r1, r2\n"
    "bne 1b\n"
    "sub r4, r4, r3\nasr r4, r4, #8\n"
    "sub r6, r6, r5\nasr r6, r6, #8\n"
    "pop {r0}\n"
    "stm r0, {r3, r4, r5, r6}\n"
    "pop {r4-r11, pc}\n"
    ".size fully_connected_packed_s8_sums, . - fully_connected_packed_s8_sums\n"
    ".popsection\n");

#endif

#else

void fully_connected_packed_s8_sums(const int32_t *stream, const uint32_t *columns, const uint32_t *end,
                                    int32_t sums[OUTPUTS]) {
  sums_of(stream, columns, end, sums, 1);
}

#endif

void fully_connected_packed_s8(const fully_connected_packed_s8_params *p, const int8_t *input, int8_t *output,
                               int8_t *scratch) {
  const matmul_s8 *m = &p->matmul;
  uint32_t *const columns = (uint32_t *)(void *)scratch, *column = columns;
  for (int32_t left = p->inputs; left > 0; left -= 4, input += 4, column += 2) {
    uint32_t word = 0;
    if (left >= 4)
      word = read_word(input);
    else
      for (int32_t i = left - 1; i >= 0; i--) word = word << 8 | (uint8_t)input[i];
    column[0] = sxtb16(word);
    column[1] = sxtb16_ror8(word);
  }
  const int32_t *stream = m->stream;
  for (int32_t left = m->channels; left > 0; left -= OUTPUTS) {
    int32_t sums[OUTPUTS];
    p->sums(stream, columns, column, sums);
    const int32_t *multiplier = stream + OUTPUTS + m->depth;
    stream = multiplier + OUTPUTS + 1;
    uint32_t shifts = (uint32_t)stream[-1];
    for (int32_t out = 0; out < OUTPUTS && out < left; out++, shifts >>= 8) {
      const int8_t value = requant_s8_shared(2 * sums[out], multiplier[out], m->rounding, shifts & 255);
      *output++ = m->bounded ? (int8_t)clamp_s32(value, m->activation_min, m->activation_max) : value;
    }
  }
}
