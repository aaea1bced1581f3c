/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of FPU instructions, written once: on a Cortex-M with a single-precision FPU a block is assembly, elsewhere
 * the same operations in the same order as C, so host and device round alike, value by value.
 *
 * GCC spends two to three instructions around each one of arithmetic here; a block names its registers s0 to s31, loads
 * and stores many with one VLDM or VSTM, and keeps twiddles in them. A block is a macro of operations in a row, run by
 *   FPU_REGISTERS; RUN(BLOCK, RW(pointer), RW(count));
 * Its operands are C variables of these names; numbers are FPU registers. LABEL numbers a loop within its block. */
#ifndef TINYFLOW_FPU_H
#define TINYFLOW_FPU_H

#include "fp.h"

/* Not at -O0, which leaves too few core registers. */
#if defined(__ARM_FEATURE_FMA) && defined(__thumb2__) && defined(__GNUC__) && defined(__OPTIMIZE__) && \
    !defined(TINYFLOW_PORTABLE)
#define TINYFLOW_FPU 1
#else
#define TINYFLOW_FPU 0
#endif

#if TINYFLOW_FPU

#if !defined(__clang__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC optimize("O2", "omit-frame-pointer") /* -O3 clones loops until no core register is left for a block */
#endif

#define FPU_REGISTERS ((void)0)
#define RW(variable) [variable] "+r"(variable)
#define IN_MEMORY(variable) [variable] "m"(variable)
/* clang-format off */
#define RUN(block, ...) RUN_WITH(block, , __VA_ARGS__)
/* A twelfth core register is more than GCC can always find: read_only is a count IN_MEMORY. */
#define RUN_WITH(block, read_only, ...)                                                                               \
  __asm__ volatile(block : __VA_ARGS__ : read_only : "memory", "cc", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7",  \
                   "s8", "s9", "s10", "s11", "s12", "s13", "s14", "s15", "s16", "s17", "s18", "s19", "s20", "s21",    \
                   "s22", "s23", "s24", "s25", "s26", "s27", "s28", "s29", "s30", "s31")

/* d = a + b, a - b, a * b, d + a * b and d - a * b (these two rounded once), a */
#define ADD(d, a, b) "vadd.f32 s" #d ", s" #a ", s" #b "\n"
#define SUB(d, a, b) "vsub.f32 s" #d ", s" #a ", s" #b "\n"
#define MUL(d, a, b) "vmul.f32 s" #d ", s" #a ", s" #b "\n"
#define FMA(d, a, b) "vfma.f32 s" #d ", s" #a ", s" #b "\n"
#define FMS(d, a, b) "vfms.f32 s" #d ", s" #a ", s" #b "\n"
#define COPY(d, a) "vmov.f32 s" #d ", s" #a "\n"
/* registers first to last from p on, and p past them; _BACK from before p, and p to their first; _AT without moving p;
 * _1 for one */
#define LOAD(p, first, last) "vldmia %[" #p "]!, {s" #first "-s" #last "}\n"
#define LOAD_BACK(p, first, last) "vldmdb %[" #p "]!, {s" #first "-s" #last "}\n"
#define LOAD_AT(p, first, last) "vldmia %[" #p "], {s" #first "-s" #last "}\n"
#define STORE(p, first, last) "vstmia %[" #p "]!, {s" #first "-s" #last "}\n"
#define LOAD_1(p, d) "vldmia %[" #p "]!, {s" #d "}\n"
#define STORE_1(p, d) "vstmia %[" #p "]!, {s" #d "}\n"
#define STORE_BACK(p, first, last) "vstmdb %[" #p "]!, {s" #first "-s" #last "}\n"
#define STORE_AT(p, first, last) "vstmia %[" #p "], {s" #first "-s" #last "}\n"
/* two 16-bit samples as fractions of 65536; `even` and `odd` are core registers */
#define LOAD_SAMPLES(p, d, next)                                                                           \
  "ldr %[even], [%[" #p "]], #4\nasr %[odd], %[even], #16\nvmov s" #d ", s" #next ", %[even], %[odd]\n"     \
  "vcvt.f32.s16 s" #d ", s" #d ", #16\nvcvt.f32.s16 s" #next ", s" #next ", #16\n"
/* between core register v (uint32_t) and the bits of a float; v = int8, half to even, saturated;
 * d = (float)(int32_t)v */
#define SET(d, v) "vmov s" #d ", %[" #v "]\n"
#define GET(v, d) "vmov %[" #v "], s" #d "\n"
#define ROUND_INT8(v, d) "vcvtr.s32.f32 s" #d ", s" #d "\nvmov %[" #v "], s" #d "\nssat %[" #v "], #8, %[" #v "]\n"
#define FROM_INT(d, v) "vmov s" #d ", %[" #v "]\nvcvt.f32.s32 s" #d ", s" #d "\n"
/* integers: v = *p++ (uint16_t), q = p + v floats, bytes[index] = v, v = a - b, v = (int32_t)a >> n, v -= a << n */
#define READ_16(v, p) "ldrh %[" #v "], [%[" #p "]], #2\n"
#define POINT(q, p, v) "add %[" #q "], %[" #p "], %[" #v "], lsl #2\n"
#define WRITE_8(bytes, index, v) "strb %[" #v "], [%[" #bytes "], %[" #index "]]\n"
#define INT_SUB(v, a, b) "sub %[" #v "], %[" #a "], %[" #b "]\n"
#define INT_ASR(v, a, n) "asr %[" #v "], %[" #a "], #" #n "\n"
#define INT_SUB_SHIFTED(v, a, n) "sub %[" #v "], %[" #v "], %[" #a "], lsl #" #n "\n"
/* the operations between the two, n times (at least once); n is 0 afterwards */
#define DO(label) #label ":\n"
#define TIMES_LEFT(label, n) "subs %[" #n "], %[" #n "], #1\nbne " #label "b\n"
/* the same with n in memory: the register of p, which is lost, counts */
#define COUNT_IN(p, n) "ldr %[" #p "], %[" #n "]\n"
#define TIMES_LEFT_IN(label, p, n) TIMES_LEFT(label, p)
/* clang-format on */

#else

#define FPU_REGISTERS float s[32]
#define RW(variable) variable
#define IN_MEMORY(variable) variable
/* clang-format off */
#define RUN(block, ...) do { block } while (0)
#define RUN_WITH(block, ...) do { block } while (0)

#define ADD(d, a, b) s[d] = s[a] + s[b];
#define SUB(d, a, b) s[d] = s[a] - s[b];
#define MUL(d, a, b) s[d] = s[a] * s[b];
#define FMA(d, a, b) s[d] = fmaf(s[a], s[b], s[d]);
#define FMS(d, a, b) s[d] = fmaf(-s[a], s[b], s[d]);
#define COPY(d, a) s[d] = s[a];
#define LOAD_AT(p, first, last) for (int i = 0; i <= (last) - (first); i++) s[(first) + i] = (p)[i];
#define LOAD(p, first, last) LOAD_AT(p, first, last) p += (last) - (first) + 1;
#define LOAD_BACK(p, first, last) p -= (last) - (first) + 1; LOAD_AT(p, first, last)
#define STORE_AT(p, first, last) for (int i = 0; i <= (last) - (first); i++) (p)[i] = s[(first) + i];
#define STORE(p, first, last) STORE_AT(p, first, last) p += (last) - (first) + 1;
#define LOAD_1(p, d) LOAD(p, d, d)
#define STORE_1(p, d) STORE(p, d, d)
#define STORE_BACK(p, first, last) p -= (last) - (first) + 1; STORE_AT(p, first, last)
#define LOAD_SAMPLES(p, d, next) s[d] = (float)(p)[0] * 0x1p-16f; s[next] = (float)(p)[1] * 0x1p-16f; p += 2;
#define SET(d, v) memcpy(&s[d], &(v), sizeof s[d]);
#define GET(v, d) memcpy(&(v), &s[d], sizeof s[d]);
#define ROUND_INT8(v, d) v = fpu_round_int8(s[d]);
#define FROM_INT(d, v) s[d] = (float)(int32_t)(v);
#define READ_16(v, p) v = *p++;
#define POINT(q, p, v) q = p + (v);
#define WRITE_8(bytes, index, v) (bytes)[index] = (int8_t)(v);
#define INT_SUB(v, a, b) v = (a) - (b);
#define INT_ASR(v, a, n) v = (uint32_t)((int32_t)(a) >> (n));
#define INT_SUB_SHIFTED(v, a, n) v -= (a) << (n);
#define DO(label) do {
#define TIMES_LEFT(label, n) } while (--n);
#define COUNT_IN(p, n)
#define TIMES_LEFT_IN(label, p, n) TIMES_LEFT(label, n)
/* clang-format on */

/* In [2^23, 2^24) a float's ulp is 1, so adding 1.5 * 2^23 rounds, half to even; clamping first keeps the sum there. */
static inline uint32_t fpu_round_int8(float x) {
  const float shift = 12582912.0f;
  const float clamped = x < -128.0f ? -128.0f : x > 127.0f ? 127.0f : x;
  const float shifted = clamped + shift;
  return (uint32_t)(int32_t)(shifted - shift);
}

#endif

#endif
