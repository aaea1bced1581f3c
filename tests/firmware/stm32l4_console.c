/* SPDX-License-Identifier: Apache-2.0 */
/* The chip around the stm32l4 port for a whole firmware on the host: registers that are ready at once, LPUART1 on
 * standard input and output, DWT counting nanoseconds. What cortexm/ gives on the chip is at the end. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "port.h"

static struct {
  uint32_t address, value;
} memory[64];
static int used;

static uint32_t *at(uint32_t address) {
  for (int i = 0; i < used; i++)
    if (memory[i].address == address) return &memory[i].value;
  if (used == 64) abort();
  memory[used].address = address;
  return &memory[used++].value;
}

static int waiting(void) {
  struct pollfd input = {.fd = 0, .events = POLLIN};
  return poll(&input, 1, 0) > 0;
}

uint32_t read32(uint32_t address) {
  uint32_t value = *at(address);
  switch (address) {
    case 0x40021000: /* RCC_CR: HSIRDY and PLLRDY follow HSION and PLLON */
      return value | (value >> 8 & 1) << 10 | (value >> 24 & 1) << 25;
    case 0x40021008: /* RCC_CFGR: SWS follows SW */
      return (value & ~0xCu) | (value & 3) << 2;
    case 0x40007014: /* PWR_SR2 */
      return 0;
    case 0x4000801C: /* LPUART1_ISR: TEACK, REACK, TXFNF; RXFNE when a byte waits */
      return 1u << 21 | 1u << 22 | 1u << 7 | (uint32_t)waiting() << 5;
    case 0x40008024: { /* LPUART1_RDR */
      unsigned char byte;
      if (read(0, &byte, 1) != 1) exit(0); /* the host has closed the line */
      return byte;
    }
    case 0xE0001004: { /* DWT_CYCCNT */
      struct timespec now;
      clock_gettime(CLOCK_MONOTONIC, &now);
      return (uint32_t)(now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec);
    }
  }
  return value;
}

void write32(uint32_t address, uint32_t value) {
  *at(address) = value;
  if (address == 0x40008028) { /* LPUART1_TDR */
    char byte = (char)value;
    if (write(1, &byte, 1) != 1) exit(1);
  }
}

void port_lock(void) {}
void port_unlock(void) {}
void port_stack_paint(void) {}
size_t port_stack_used(void) { return 0; }
void port_exit(int status) { exit(status); }
void port_fail(const char *reason) {
  port_write(reason, strlen(reason));
  exit(1);
}
