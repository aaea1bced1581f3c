/* SPDX-License-Identifier: Apache-2.0 */
/* From a doubled accumulator to an int8 in few instructions, equal to fixedpoint.h's requantize for every accumulator
 * that tinyflow/compile/lowering/requant.py found reachable.
 *
 * smmulr(2a, m) is SaturatingRoundingDoublingHighMul(a, m). RoundingDivideByPOT rounds half away from zero: less one
 * for negative values, then half is added and shifted. `rounding` holds that half and the output's zero
 * point, shifted. */
#ifndef TINYFLOW_REQUANT_H
#define TINYFLOW_REQUANT_H

#include "dsp.h"
#include "fixedpoint.h"

/* The four words of one output channel. The bias is doubled and has the input's zero point times the sum of weights in
 * it. */
enum { REQUANT_BIAS, REQUANT_MULTIPLIER, REQUANT_ROUNDING, REQUANT_SHIFT, REQUANT_WORDS };

/* bounded: int8 saturation is not all of the activation. signed_ties: negative values count (else they
 * all saturate). */
typedef struct {
  const int32_t *channels; /* (output channels, REQUANT_WORDS) */
  int32_t signed_ties, bounded, activation_min, activation_max;
} requant_s8;

/* accumulator2: twice the sum, doubled bias included. */
static inline int8_t requant_s8_value(const requant_s8 *p, const int32_t *channel, int32_t accumulator2) {
  int32_t value;
  if (p->signed_ties) {
    value = smmulr((uint32_t)accumulator2, (uint32_t)channel[REQUANT_MULTIPLIER]);
    value += value >> 31;
    value += channel[REQUANT_ROUNDING];
  } else {
    value = smmlar((uint32_t)accumulator2, (uint32_t)channel[REQUANT_MULTIPLIER], channel[REQUANT_ROUNDING]);
  }
  value = ssat8(value >> channel[REQUANT_SHIFT]);
  if (p->bounded) value = clamp_s32(value, p->activation_min, p->activation_max);
  return (int8_t)value;
}

/* The same without a rounding of the channel's own: `zero` is twice the output's zero point plus one, `shift` one less.
 * The sign of the accumulator is that of its value, or the value is 0, which loses nothing by it. Ties and saturation
 * as above. */
static inline int8_t requant_s8_shared(int32_t accumulator2, int32_t multiplier, int32_t zero, uint32_t shift) {
  const int32_t rounding = (int32_t)((uint32_t)zero << shift) + (accumulator2 >> 31);
  return (int8_t)ssat8(smmlar((uint32_t)accumulator2, (uint32_t)multiplier, rounding) >> shift >> 1);
}

#endif
