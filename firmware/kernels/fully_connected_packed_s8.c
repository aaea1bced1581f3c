/* SPDX-License-Identifier: Apache-2.0 */
#include "matmul_s8.h"
#include "requant.h"

enum { OUTPUTS = 4 }; /* side by side */

#if TINYFLOW_DSP

#define QUAD                                            \
  "ldm r0!, {r7, r8, r9, r10}\n"                        \
  "ldrd r11, r12, [r1], #8\n"                           \
  "sxtb16 lr, r7\nsmlad r3, lr, r11, r3\n"              \
  "sxtb16 r7, r7, ror #8\nsmlad r4, r7, r11, r4\n"      \
  "sxtb16 lr, r8\nsmlad r3, lr, r12, r3\n"              \
  "sxtb16 r8, r8, ror #8\nsmlad r4, r8, r12, r4\n"      \
  "sxtb16 lr, r9\nsmlad r5, lr, r11, r5\n"              \
  "sxtb16 r9, r9, ror #8\nsmlad r6, r9, r11, r6\n"      \
  "sxtb16 lr, r10\nsmlad r5, lr, r12, r5\n"             \
  "sxtb16 r10, r10, ror #8\nsmlad r6, r10, r12, r6\n"

/* Sums of four outputs, biases first in the stream; `end`: of the columns. 38 instructions for 32 MACs. */
void fully_connected_s8_sums(const int32_t *stream, const uint32_t *columns, const uint32_t *end, int32_t sums[OUTPUTS]);

__asm__(
    ".pushsection .text.fully_connected_s8_sums, \"ax\", %progbits\n"
    ".syntax unified\n.thumb\n.balign 4\n"
    ".global fully_connected_s8_sums\n.type fully_connected_s8_sums, %function\n.thumb_func\n"
    "fully_connected_s8_sums:\n"
    "push {r3-r11, lr}\n"
    "sub r3, r2, r1\n"
    "tst r3, #8\n"
    "ldm r0!, {r3, r4, r5, r6}\n"
    "bne 2f\n" /* an odd number of quads enters in the middle */
    "1:\n" QUAD
    "2:\n" QUAD
    "cmp r1, r2\n"
    "bne 1b\n"
    "pop {r0}\n"
    "stm r0, {r3, r4, r5, r6}\n"
    "pop {r4-r11, pc}\n"
    ".size fully_connected_s8_sums, . - fully_connected_s8_sums\n"
    ".popsection\n");

#else

static void fully_connected_s8_sums(const int32_t *stream, const uint32_t *columns, const uint32_t *end, int32_t sums[OUTPUTS]) {
  for (int32_t out = 0; out < OUTPUTS; out++) sums[out] = *stream++;
  for (; columns < end; columns += 2) {
    for (int32_t word = 0; word < 4; word++, stream++) {
      int32_t *sum = sums + word / 2 * 2;
      sum[0] = smlad(sxtb16((uint32_t)*stream), columns[word & 1], sum[0]);
      sum[1] = smlad(sxtb16_ror8((uint32_t)*stream), columns[word & 1], sum[1]);
    }
  }
}

#endif

void fully_connected_packed_s8(const fully_connected_packed_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch) {
  const matmul_s8 *m = &p->matmul;
  uint32_t *const columns = (uint32_t *)(void *)scratch, *column = columns;
  for (int32_t left = p->inputs; left > 0; left -= 4, input += 4, column += 2) {
    const uint32_t word = left >= 4 ? read_word(input) : pkhbt(input[0] & 255, left > 2 ? input[2] : 0) | (left > 1 ? (uint32_t)(input[1] & 255) << 8 : 0);
    column[0] = (uint32_t)sadd16(sxtb16(word), sxtb16(word));
    column[1] = (uint32_t)sadd16(sxtb16_ror8(word), sxtb16_ror8(word));
  }
  const int32_t *stream = m->stream;
  for (int32_t left = m->channels; left > 0; left -= OUTPUTS) {
    int32_t sums[OUTPUTS];
    fully_connected_s8_sums(stream, columns, column, sums);
    const int32_t *multiplier = stream + OUTPUTS + m->depth;
    stream = multiplier + OUTPUTS + 1;
    uint32_t shifts = (uint32_t)stream[-1];
    for (int32_t out = 0; out < OUTPUTS && out < left; out++, shifts >>= 8) {
      const int8_t value = requant_s8_shared(sums[out], multiplier[out], m->rounding, shifts & 255);
      *output++ = m->bounded ? (int8_t)clamp_s32(value, m->activation_min, m->activation_max) : value;
    }
  }
}
