/* SPDX-License-Identifier: Apache-2.0 */
#include "matmul_s8.h"

#include "requant.h"

/* Two bytes as the halves of a word, doubled. */
static inline uint32_t doubled(int32_t low, int32_t high) {
  const uint32_t word = pkhbt(low, high);
  return (uint32_t)sadd16(word, word);
}

uint32_t *matmul_s8_widen(uint32_t *columns, const int8_t *const pixels[MATMUL_PIXELS], int32_t quads) {
  const int8_t *x0 = pixels[0], *x1 = pixels[1], *x2 = pixels[2];
  for (; quads > 0; quads--, columns += MATMUL_QUAD_WORDS, x0 += 4, x1 += 4, x2 += 4) {
    const uint32_t w0 = read_word(x0), w1 = read_word(x1), w2 = read_word(x2);
    columns[0] = (uint32_t)sadd16(sxtb16(w0), sxtb16(w0));
    columns[1] = (uint32_t)sadd16(sxtb16(w1), sxtb16(w1));
    columns[2] = (uint32_t)sadd16(sxtb16(w2), sxtb16(w2));
    columns[3] = (uint32_t)sadd16(sxtb16_ror8(w0), sxtb16_ror8(w0));
    columns[4] = (uint32_t)sadd16(sxtb16_ror8(w1), sxtb16_ror8(w1));
    columns[5] = (uint32_t)sadd16(sxtb16_ror8(w2), sxtb16_ror8(w2));
  }
  return columns;
}

void matmul_s8_widen_planes(uint32_t *columns, const int8_t *const pixels[MATMUL_PIXELS], int32_t channels, int32_t stride) {
  const int8_t *x0 = pixels[0], *x1 = pixels[1], *x2 = pixels[2];
  int32_t s1 = stride, s2 = 2 * stride, s3 = 3 * stride;
  for (; channels > 0; channels -= 4, columns += MATMUL_QUAD_WORDS) {
    if (channels < 4) { /* reads a channel again where there are no more */
      s3 = 0;
      if (channels < 3) s2 = 0;
      if (channels < 2) s1 = 0;
    }
    columns[0] = doubled(x0[0], x0[s2]);
    columns[1] = doubled(x1[0], x1[s2]);
    columns[2] = doubled(x2[0], x2[s2]);
    columns[3] = doubled(x0[s1], x0[s3]);
    columns[4] = doubled(x1[s1], x1[s3]);
    columns[5] = doubled(x2[s1], x2[s3]);
    x0 += 4 * stride, x1 += 4 * stride, x2 += 4 * stride;
  }
}

#if TINYFLOW_DSP

/* Two channels times three pixels in r0-r5, four inputs in 19 instructions for 24 MACs, MATMUL_UNROLL times in a row; the first round
 * enters `skipped` quads late. r12 walks through the stream, lr through the columns. On the stack:
 *   0 rounding, 4 output, 8 second, 12 third, 56 stream, 60 its end, 64 columns, 68 their end, 72 channel stride, 76 entry */
void matmul_s8_channels(int32_t rounding, int8_t *output, int32_t second, int32_t third, const int32_t *stream, const int32_t *stream_end,
                        const uint32_t *columns, const uint32_t *columns_end, int32_t channel_stride, int32_t skipped);

#define MATMUL_UNROLL 4
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

/* An accumulator to its int8, in place: half away from zero takes one from the rounding of a negative one. */
#define REQUANT(accumulator, free)                            \
  "add " free ", lr, " accumulator ", asr #31\n"              \
  "smmlar " accumulator ", " accumulator ", r6, " free "\n"   \
  "asr " accumulator ", " accumulator ", r7\n"                \
  "ssat " accumulator ", #8, " accumulator ", asr #1\n"

__asm__(
    ".pushsection .text.matmul_s8_channels, \"ax\", %progbits\n"
    ".syntax unified\n.thumb\n.balign 4\n"
    ".global matmul_s8_channels\n.type matmul_s8_channels, %function\n.thumb_func\n"
    "matmul_s8_channels:\n"
    "push {r4-r11, lr}\n"
    "sub sp, #4\n"
    "push {r0-r3}\n"
    "ldr r12, [sp, #56]\n"
    "ldr r4, [sp, #76]\n"
    "adr r6, 2f + 1\n"
    "mov r5, #76\n" /* bytes of a quad's code */
    "mla r6, r4, r5, r6\n"
    "str r6, [sp, #76]\n"
    "1:\n"
    "ldrd r0, r3, [r12], #8\n" /* biases */
    "mov r1, r0\nmov r2, r0\nmov r4, r3\nmov r5, r3\n"
    "ldr lr, [sp, #64]\n"
    "ldr pc, [sp, #76]\n"
    ".balign 4\n"
    "2:\n"
    ".rept " TEXT(MATMUL_UNROLL) "\n"
    "ldrd r6, r7, [r12], #8\n"
    "ldm lr!, {r9, r10, r11}\n"
    "sxtb16 r8, r6\n"
    "smlad r0, r8, r9, r0\nsmlad r1, r8, r10, r1\nsmlad r2, r8, r11, r2\n"
    "sxtb16 r6, r6, ror #8\n"
    "smlad r3, r6, r9, r3\nsmlad r4, r6, r10, r4\nsmlad r5, r6, r11, r5\n"
    "ldm lr!, {r9, r10, r11}\n"
    "sxtb16 r8, r7\n"
    "smlad r0, r8, r9, r0\nsmlad r1, r8, r10, r1\nsmlad r2, r8, r11, r2\n"
    "sxtb16 r7, r7, ror #8\n"
    "smlad r3, r7, r9, r3\nsmlad r4, r7, r10, r4\nsmlad r5, r7, r11, r5\n"
    ".endr\n"
    "ldr r6, [sp, #68]\n"
    "cmp lr, r6\n"
    "bne 2b\n"
    "ldrd r6, r7, [r12], #8\n" /* the first channel's multiplier; both shifts */
    "ldrd r8, r9, [sp]\n"
    "lsl lr, r8, r7\n"
    REQUANT("r0", "r10")
    "strb r0, [r9]\n"
    "ldrd r10, r11, [sp, #8]\n"
    REQUANT("r1", "r0")
    "strb r1, [r9, r10]\n"
    REQUANT("r2", "r0")
    "strb r2, [r9, r11]\n"
    "ldr r0, [sp, #72]\n"
    "ldr r1, [sp, #60]\n"
    "cmp r12, r1\n"
    "beq 3f\n" /* an odd number of channels ends here */
    "add r9, r0\n"
    "ldr r6, [r12], #4\n"
    "lsr r7, r7, #8\n"
    "lsl lr, r8, r7\n"
    REQUANT("r3", "r2")
    "strb r3, [r9]\n"
    REQUANT("r4", "r2")
    "strb r4, [r9, r10]\n"
    REQUANT("r5", "r2")
    "strb r5, [r9, r11]\n"
    "add r9, r0\n"
    "str r9, [sp, #4]\n"
    "cmp r12, r1\n"
    "bne 1b\n"
    "3:\n"
    "add sp, #20\n"
    "pop {r4-r11, pc}\n"
    ".size matmul_s8_channels, . - matmul_s8_channels\n"
    ".popsection\n");

static void channels(const matmul_s8 *p, const uint32_t *columns, const matmul_s8_outputs *to) {
  const int32_t quads = p->depth / 4;
  matmul_s8_channels(p->rounding, to->output, to->second, to->third, p->stream, p->stream + p->words, columns,
                     columns + quads * MATMUL_QUAD_WORDS, to->channel_stride, -quads & (MATMUL_UNROLL - 1));
}

#else

static void channel(const matmul_s8 *p, const int32_t sums[MATMUL_PIXELS], int32_t multiplier, uint32_t shift, int8_t *output, int32_t second, int32_t third) {
  const int32_t places[MATMUL_PIXELS] = {0, second, third};
  for (int32_t pixel = 0; pixel < MATMUL_PIXELS; pixel++) output[places[pixel]] = requant_s8_shared(sums[pixel], multiplier, p->rounding, shift);
}

static void channels(const matmul_s8 *p, const uint32_t *columns, const matmul_s8_outputs *to) {
  const int32_t *stream = p->stream, *end = p->stream + p->words;
  int8_t *output = to->output;
  while (stream < end) {
    int32_t first[MATMUL_PIXELS], other[MATMUL_PIXELS];
    for (int32_t pixel = 0; pixel < MATMUL_PIXELS; pixel++) first[pixel] = stream[0], other[pixel] = stream[1];
    stream += 2;
    const uint32_t *column = columns;
    for (int32_t pair = 0; pair < p->depth / 2; pair++, column += MATMUL_PIXELS) {
      const uint32_t weights = (uint32_t)*stream++;
      for (int32_t pixel = 0; pixel < MATMUL_PIXELS; pixel++) {
        first[pixel] = smlad(sxtb16(weights), column[pixel], first[pixel]);
        other[pixel] = smlad(sxtb16_ror8(weights), column[pixel], other[pixel]);
      }
    }
    const uint32_t shifts = (uint32_t)stream[1];
    channel(p, first, stream[0], shifts & 255, output, to->second, to->third);
    stream += 2;
    output += to->channel_stride;
    if (stream == end) break; /* an odd number of channels */
    channel(p, other, *stream++, shifts >> 8, output, to->second, to->third);
    output += to->channel_stride;
  }
}

#endif

void matmul_s8_block(const matmul_s8 *p, const uint32_t *columns, const matmul_s8_outputs *to) {
  channels(p, columns, to);
  if (!p->bounded) return;
  const int32_t places[MATMUL_PIXELS] = {0, to->second, to->third};
  for (int32_t pixel = 0; pixel < MATMUL_PIXELS; pixel++) {
    int8_t *output = to->output + places[pixel];
    for (int32_t c = 0; c < p->channels; c++, output += to->channel_stride) *output = (int8_t)clamp_s32(*output, p->activation_min, p->activation_max);
  }
}
