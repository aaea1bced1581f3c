/* SPDX-License-Identifier: Apache-2.0 */
/* A microphone for the tests, of mps2 boards: the first self-test clip over and over, at the pace of a CMSDK timer whose
 * interrupt wakes the core. What a DMA does on a chip, the clock does here: it says how many samples there are by now. */
#include "microphone.h"

#include "app_config.h"
#include "cortexm.h"
#include "frontend_config.h"
#include "port.h"
#include "selftest.h"

#define TIMER1 0x40001000u /* CMSDK APB timer, interrupt 9; counts down at CLOCK_HZ */
#define TIMER1_IRQ 9
#define PACE (CLOCK_HZ / 100)
#define RING 2048 /* samples that wait, before the oldest are lost */

static uint32_t last; /* reading of the counter */
static uint64_t passed, given, lost;

const char *microphone_start(void) {
  REGISTER(TIMER1 + 0x00) = 0;
  REGISTER(TIMER1 + 0x04) = REGISTER(TIMER1 + 0x08) = PACE - 1;
  REGISTER(TIMER1 + 0x0C) = 1;
  REGISTER(TIMER1 + 0x00) = 9; /* on, with its interrupt */
  last = (uint32_t)port_ticks();
  passed = given = lost = 0;
  return 0;
}

static uint64_t recorded(void) {
  const uint32_t now = (uint32_t)port_ticks();
  passed += (uint32_t)(now - last);
  last = now;
  return passed * FRONTEND_SAMPLE_RATE / COUNTER_HZ;
}

size_t microphone_read(int16_t *samples, size_t count) {
  const uint64_t there = recorded();
  if (there - given > RING) {
    lost += there - given - RING;
    given = there - RING;
  }
  size_t part = 0;
  for (; part < count && given < there; part++, given++) samples[part] = selftest_audio[0][given % SELFTEST_SAMPLES];
  return part;
}

void microphone_wait(void) {
  if (recorded() > given) return;
  __asm volatile("cpsid i" ::: "memory");
  REGISTER(0xE000E100) = 1u << TIMER1_IRQ; /* NVIC_ISER0 */
  __asm volatile("wfi" ::: "memory");
  REGISTER(0xE000E180) = 1u << TIMER1_IRQ; /* NVIC_ICER0 */
  REGISTER(TIMER1 + 0x0C) = 1;
  REGISTER(0xE000E280) = 1u << TIMER1_IRQ; /* NVIC_ICPR0 */
  __asm volatile("cpsie i" ::: "memory");
}

uint32_t microphone_lost(void) { return (uint32_t)lost; }
