/* SPDX-License-Identifier: Apache-2.0 */
/* How a port reaches the registers of a real chip: every poll is bounded, and a test on the host watches
 * every access. */
#ifndef TINYFLOW_CHIP_H
#define TINYFLOW_CHIP_H

#include <stdint.h>

#include "port.h"

/* Iterations, none shorter than eight cycles: at least 9 ms at 168 MHz, beyond every start-up time of the chips and
 * beyond a byte at 9600 baud. */
enum { POLLS = 200000 };

#ifdef SIMULATED_REGISTERS
uint32_t read32(uint32_t address);
void write32(uint32_t address, uint32_t value);
void hold_interrupts(int hold);
void wait_for_interrupt(void);
#else
static inline uint32_t read32(uint32_t address) { return *(volatile uint32_t *)(uintptr_t)address; }
static inline void write32(uint32_t address, uint32_t value) { *(volatile uint32_t *)(uintptr_t)address = value; }

/* By PRIMASK: what is held still ends wait_for_interrupt. Barriers before the end: what was disabled meanwhile is so by
 * then. */
static inline void hold_interrupts(int hold) {
  if (hold)
    __asm volatile("cpsid i" ::: "memory");
  else
    __asm volatile("dsb\n isb\n cpsie i" ::: "memory");
}

static inline void wait_for_interrupt(void) { __asm volatile("dsb\n wfi" ::: "memory"); }
#endif

static inline void change(uint32_t address, uint32_t clear, uint32_t set) {
  write32(address, (read32(address) & ~clear) | set);
}

/* Enables a peripheral clock of an STM32; the read back is the delay that its manuals (RCC, peripheral clock enable)
 * ask for. */
static inline void enable_clock(uint32_t address, uint32_t bit) {
  change(address, 0, bit);
  (void)read32(address);
}

static inline int answers(uint32_t address, uint32_t mask, uint32_t value) {
  for (int i = 0; i < POLLS; i++) {
    if ((read32(address) & mask) == value) return 1;
  }
  return 0;
}

static inline void expect(uint32_t address, uint32_t mask, uint32_t value, const char *reason) {
  if (!answers(address, mask, value)) port_fail(reason);
}

/* The core's cycle counter, Armv7-M Architecture Reference Manual, C1 (debug). */
#define DEMCR 0xE000EDFCu
#define DEMCR_TRCENA (1u << 24)
#define DWT_CTRL 0xE0001000u
#define DWT_CTRL_CYCCNTENA (1u << 0)
#define DWT_CYCCNT 0xE0001004u

static inline int moves(uint32_t counter) {
  uint32_t before = read32(counter);
  for (volatile int i = 0; i < 10; i++) {
  }
  return read32(counter) != before;
}

/* Starts DWT_CYCCNT at 0; whether it counts. */
static inline int start_dwt(void) {
  change(DEMCR, 0, DEMCR_TRCENA);
  write32(DWT_CYCCNT, 0);
  change(DWT_CTRL, 0, DWT_CTRL_CYCCNTENA);
  return moves(DWT_CYCCNT);
}

#endif
