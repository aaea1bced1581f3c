/* SPDX-License-Identifier: Apache-2.0 */
/* The DSP instructions of Cortex-M4, M7, M33 and M55 that kernels use, each beside its C99 twin for every other
 * machine. GCC 12 folds no ROR into SXTB16 and makes SMLAL of SMMULR, hence the assembly. TINYFLOW_PORTABLE chooses the
 * twins; so does -O0, which leaves too few registers for whole blocks of assembly. */
#ifndef TINYFLOW_DSP_H
#define TINYFLOW_DSP_H

#include <stdint.h>
#include <string.h>

#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__) && defined(__OPTIMIZE__) && !defined(TINYFLOW_PORTABLE)
#define TINYFLOW_DSP 1
#else
#define TINYFLOW_DSP 0
#endif

/* Helium, the vectors of Cortex-M55 and M85. */
#if TINYFLOW_DSP && defined(__ARM_FEATURE_MVE)
#define TINYFLOW_MVE 1
#else
#define TINYFLOW_MVE 0
#endif

/* Four bytes from anywhere, the first in the lowest. */
static inline uint32_t read_word(const void *from) {
  uint32_t word;
  memcpy(&word, from, sizeof word);
  return word;
}

static inline void write_word(void *to, uint32_t word) { memcpy(to, &word, sizeof word); }

#if TINYFLOW_DSP

#define TINYFLOW_DSP_2(name, instruction)                               \
  static inline int32_t name(uint32_t a, uint32_t b) {                  \
    int32_t result;                                                     \
    __asm__(instruction " %0, %1, %2" : "=r"(result) : "r"(a), "r"(b)); \
    return result;                                                      \
  }
#define TINYFLOW_DSP_3(name, instruction)                                           \
  static inline int32_t name(uint32_t a, uint32_t b, int32_t c) {                   \
    int32_t result;                                                                 \
    __asm__(instruction " %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(c)); \
    return result;                                                                  \
  }

static inline uint32_t sxtb16(uint32_t x) {
  uint32_t result;
  __asm__("sxtb16 %0, %1" : "=r"(result) : "r"(x));
  return result;
}

static inline uint32_t sxtb16_ror8(uint32_t x) {
  uint32_t result;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(x));
  return result;
}

static inline uint32_t sxtab16(uint32_t sum, uint32_t x) {
  uint32_t result;
  __asm__("sxtab16 %0, %1, %2" : "=r"(result) : "r"(sum), "r"(x));
  return result;
}

static inline uint32_t sxtab16_ror8(uint32_t sum, uint32_t x) {
  uint32_t result;
  __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(sum), "r"(x));
  return result;
}

static inline int32_t ssat8(int32_t x) {
  int32_t result;
  __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(x));
  return result;
}

/* Byte n of the result is the least byte of x; the others are `word`'s. */
#define TINYFLOW_DSP_INSERT(name, position)                         \
  static inline uint32_t name(uint32_t word, int32_t x) {           \
    __asm__("bfi %0, %1, #" position ", #8" : "+r"(word) : "r"(x)); \
    return word;                                                    \
  }

/* The greater and the smaller of each of four signed bytes. */
static inline uint32_t max_s8x4(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(result) : "r"(a), "r"(b));
  return result;
}

static inline uint32_t min_s8x4(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(result) : "r"(a), "r"(b));
  return result;
}

TINYFLOW_DSP_INSERT(insert_byte1, "8")
TINYFLOW_DSP_INSERT(insert_byte2, "16")
TINYFLOW_DSP_INSERT(insert_byte3, "24")
/* The low halves of two words. */
static inline uint32_t pkhbt(int32_t low, int32_t high) {
  uint32_t result;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(low), "r"(high));
  return result;
}

/* ssat8(x >> 1) */
static inline int32_t ssat8_half(int32_t x) {
  int32_t result;
  __asm__("ssat %0, #8, %1, asr #1" : "=r"(result) : "r"(x));
  return result;
}

TINYFLOW_DSP_2(sadd16, "sadd16")
TINYFLOW_DSP_2(smmulr, "smmulr")
TINYFLOW_DSP_3(smmlar, "smmlar")
TINYFLOW_DSP_3(smlad, "smlad")
TINYFLOW_DSP_3(smlabb, "smlabb")
TINYFLOW_DSP_3(smlabt, "smlabt")
TINYFLOW_DSP_3(smlatb, "smlatb")
TINYFLOW_DSP_3(smlatt, "smlatt")
TINYFLOW_DSP_3(smlawb, "smlawb")
TINYFLOW_DSP_3(smlawt, "smlawt")

#else

static inline int32_t low_half(uint32_t x) { return (int16_t)(uint16_t)x; }

static inline int32_t high_half(uint32_t x) { return (int16_t)(uint16_t)(x >> 16); }

static inline uint32_t halves(int32_t low, int32_t high) { return (uint16_t)low | (uint32_t)(uint16_t)high << 16; }

static inline uint32_t pkhbt(int32_t low, int32_t high) { return halves(low, high); }

/* Bytes 0 and 2, sign-extended to the halves of a word. */
static inline uint32_t sxtb16(uint32_t x) { return halves((int8_t)(uint8_t)x, (int8_t)(uint8_t)(x >> 16)); }

/* Bytes 1 and 3. */
static inline uint32_t sxtb16_ror8(uint32_t x) { return sxtb16(x >> 8); }

static inline int32_t ssat8(int32_t x) { return x < -128 ? -128 : x > 127 ? 127 : x; }

static inline int32_t ssat8_half(int32_t x) { return ssat8(x >> 1); }

/* Halves added apart, wrapping. */
static inline int32_t sadd16(uint32_t a, uint32_t b) {
  return (int32_t)halves(low_half(a) + low_half(b), high_half(a) + high_half(b));
}

/* Bytes 0 and 2, or 1 and 3, added to the halves of a sum. */
static inline uint32_t sxtab16(uint32_t sum, uint32_t x) { return (uint32_t)sadd16(sum, sxtb16(x)); }
static inline uint32_t sxtab16_ror8(uint32_t sum, uint32_t x) { return (uint32_t)sadd16(sum, sxtb16_ror8(x)); }

/* High word of the product, to nearest. */
static inline int32_t smmulr(uint32_t a, uint32_t b) {
  return (int32_t)(((int64_t)(int32_t)a * (int32_t)b + ((int64_t)1 << 31)) >> 32);
}

static inline int32_t smmlar(uint32_t a, uint32_t b, int32_t c) { return c + smmulr(a, b); }

static inline int32_t smlad(uint32_t a, uint32_t b, int32_t c) {
  return c + low_half(a) * low_half(b) + high_half(a) * high_half(b);
}

static inline int32_t smlabb(uint32_t a, uint32_t b, int32_t c) { return c + low_half(a) * low_half(b); }
static inline int32_t smlabt(uint32_t a, uint32_t b, int32_t c) { return c + low_half(a) * high_half(b); }
static inline int32_t smlatb(uint32_t a, uint32_t b, int32_t c) { return c + high_half(a) * low_half(b); }
static inline int32_t smlatt(uint32_t a, uint32_t b, int32_t c) { return c + high_half(a) * high_half(b); }

/* A word times a half, without the low 16 bits of the product. */
static inline int32_t smlawb(uint32_t a, uint32_t b, int32_t c) {
  return c + (int32_t)(((int64_t)(int32_t)a * low_half(b)) >> 16);
}

static inline int32_t smlawt(uint32_t a, uint32_t b, int32_t c) {
  return c + (int32_t)(((int64_t)(int32_t)a * high_half(b)) >> 16);
}

static inline uint32_t insert_byte(uint32_t word, int32_t x, int at) {
  return (word & ~((uint32_t)0xff << at)) | (uint32_t)(uint8_t)x << at;
}

static inline uint32_t insert_byte1(uint32_t word, int32_t x) { return insert_byte(word, x, 8); }
static inline uint32_t insert_byte2(uint32_t word, int32_t x) { return insert_byte(word, x, 16); }
static inline uint32_t insert_byte3(uint32_t word, int32_t x) { return insert_byte(word, x, 24); }

static inline uint32_t max_s8x4(uint32_t a, uint32_t b) {
  uint32_t result = 0;
  for (int at = 0; at < 32; at += 8) {
    const int8_t x = (int8_t)(uint8_t)(a >> at), y = (int8_t)(uint8_t)(b >> at);
    result = insert_byte(result, x > y ? x : y, at);
  }
  return result;
}

static inline uint32_t min_s8x4(uint32_t a, uint32_t b) { return a ^ b ^ max_s8x4(a, b); }

#endif

#endif
