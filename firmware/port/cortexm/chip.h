/* SPDX-License-Identifier: Apache-2.0 */
/* How a port reaches the registers of a real chip: every poll is bounded, and a test on the host watches every access. */
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
#else
static inline uint32_t read32(uint32_t address) { return *(volatile uint32_t *)(uintptr_t)address; }
static inline void write32(uint32_t address, uint32_t value) { *(volatile uint32_t *)(uintptr_t)address = value; }
#endif

static inline void change(uint32_t address, uint32_t clear, uint32_t set) { write32(address, (read32(address) & ~clear) | set); }

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

#endif
