/* SPDX-License-Identifier: Apache-2.0 */
/* Arm MPS2 (AN385, AN386, AN500): CMSDK UART0 for the console, CMSDK timer 0 at the 25 MHz system clock for counting.
 * Registers: Arm Cortex-M System Design Kit technical reference manual, chapters APB timer and APB UART. */
#include "port.h"

#include "cortexm.h"

#define UART_BASE 0x40004000u
#define UART_DATA REGISTER(UART_BASE + 0x00)
#define UART_STATE REGISTER(UART_BASE + 0x04)
#define UART_CTRL REGISTER(UART_BASE + 0x08)
#define UART_BAUDDIV REGISTER(UART_BASE + 0x10)
#define UART_TX_FULL 1u
#define UART_RX_FULL 2u

#define TIMER_BASE 0x40000000u
#define TIMER_CTRL REGISTER(TIMER_BASE + 0x00)
#define TIMER_VALUE REGISTER(TIMER_BASE + 0x04)
#define TIMER_RELOAD REGISTER(TIMER_BASE + 0x08)

void port_init(void) {
  UART_BAUDDIV = 25000000u / 115200u;
  UART_CTRL = 3; /* transmit and receive */
  (void)UART_DATA; /* drops a stale byte; QEMU looks for input again only after a read, not when reception is enabled */
  TIMER_CTRL = 0;
  TIMER_RELOAD = 0xFFFFFFFFu;
  TIMER_VALUE = 0xFFFFFFFFu;
  TIMER_CTRL = 1;
}

int port_read(void) {
  while (!(UART_STATE & UART_RX_FULL)) {
  }
  return (int)(UART_DATA & 0xFF);
}

void port_write(const char *data, size_t size) {
  for (; size; size--, data++) {
    for (int polls = 0; (UART_STATE & UART_TX_FULL) && polls < 1000000; polls++) {
    }
    UART_DATA = (uint8_t)*data;
  }
}

/* The timer counts down; its complement counts up. */
uint64_t port_ticks(void) { return (uint32_t)~TIMER_VALUE; }

const char *port_warning(void) { return 0; }
