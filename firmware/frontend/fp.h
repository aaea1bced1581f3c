/* SPDX-License-Identifier: Apache-2.0 */
/* Floats that come out equal on every machine, whatever flags the compiler was given: the first include of a file that
 * computes with them. No product and sum is fused unless fmaf is written, and fmaf rounds once where no instruction
 * does it. */
#ifndef TINYFLOW_FP_H
#define TINYFLOW_FP_H

#include <float.h>
#include <stdint.h>
#include <string.h>

#if FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16 /* 16: a Cortex-M55 has a narrower type beside float */
#error "float arithmetic must round to float (on 32-bit x86: -msse2 -mfpmath=sse), or host and device differ"
#endif
#ifdef __FAST_MATH__
#error "-ffast-math changes the features: leave it out for this file"
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=off") /* GCC reads no FP_CONTRACT */
#else
#pragma STDC FP_CONTRACT OFF
#endif

#if defined(__FP_FAST_FMAF) || defined(__ARM_FEATURE_FMA)
#define fmaf __builtin_fmaf /* one instruction */
#else
#define fmaf exact_fmaf

/* a * b + c, rounded once. The product of two floats is exact in double; the sum is rounded to odd (Boldo and
 * Melquiond, "Emulation of FMA and correctly rounded sums", 2008), so that rounding it to float gives what rounding the
 * exact sum gives. */
static inline float exact_fmaf(float a, float b, float c) {
  const double product = (double)a * b;
  double sum = product + c;
  const double part = sum - product;
  const double error = (product - (sum - part)) + (c - part);
  uint64_t bits;
  memcpy(&bits, &sum, sizeof bits);
  if ((error > 0.0 || error < 0.0) && !(bits & 1)) { /* an infinity leaves a NaN */
    bits += (error > 0.0) == (sum > 0.0) ? 1u : ~(uint64_t)0;
    memcpy(&sum, &bits, sizeof sum);
  }
  return (float)sum;
}
#endif

#endif
