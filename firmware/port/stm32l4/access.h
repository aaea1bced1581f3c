/* SPDX-License-Identifier: Apache-2.0 */
/* How the port and its drivers reach registers: a test on the host watches every access. */
#ifndef TINYFLOW_STM32L4_ACCESS_H
#define TINYFLOW_STM32L4_ACCESS_H

#include <stdint.h>

#include "registers.h"

#ifdef STM32L4_SIMULATED_REGISTERS
uint32_t read32(uint32_t address);
void write32(uint32_t address, uint32_t value);
void hold_interrupts(int hold);
void wait_for_interrupt(void);
#else
static inline uint32_t read32(uint32_t address) { return *(volatile uint32_t *)(uintptr_t)address; }
static inline void write32(uint32_t address, uint32_t value) { *(volatile uint32_t *)(uintptr_t)address = value; }

/* By PRIMASK: what is held still ends wait_for_interrupt. */
static inline void hold_interrupts(int hold) {
  if (hold)
    __asm volatile("cpsid i" ::: "memory");
  else
    __asm volatile("cpsie i" ::: "memory");
}

static inline void wait_for_interrupt(void) { __asm volatile("dsb\n wfi" ::: "memory"); }
#endif

static inline void change(uint32_t address, uint32_t clear, uint32_t set) { write32(address, (read32(address) & ~clear) | set); }

/* Enables a peripheral clock; the read back is the delay that the manual (RCC, peripheral clock enable) asks for. */
static inline void enable_clock(uint32_t address, uint32_t bit) {
  change(address, 0, bit);
  (void)read32(address);
}

/* Gives `pin` of the GPIO port at `port` to its alternate function `function`. */
static inline void connect_pin(uint32_t port, uint32_t pin, uint32_t function) {
  const uint32_t nibble = 4 * (pin % 8);
  change(GPIO_AFR(port, pin / 8), 15u << nibble, function << nibble);
  change(GPIO_MODER(port), 3u << 2 * pin, 2u << 2 * pin);
}

#endif
