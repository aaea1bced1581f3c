/* SPDX-License-Identifier: Apache-2.0 */
/* Arm MPS2 and MPS3 images. board.yaml defines UART_BASE (a CMSDK UART, the console) and the counter: TIMER_BASE, a
 * CMSDK timer, or SSE_COUNTER_CONTROL, the system counter of an SSE-300. Armv8-M images run Secure, hence the secure
 * aliases. Registers: Arm Cortex-M System Design Kit technical reference manual, APB timer and APB UART; SSE-300
 * technical reference manual, system counter. */
#include "port.h"

#include "cortexm.h"

#define UART_DATA REGISTER(UART_BASE + 0x00)
#define UART_STATE REGISTER(UART_BASE + 0x04)
#define UART_CTRL REGISTER(UART_BASE + 0x08)
#define UART_BAUDDIV REGISTER(UART_BASE + 0x10)
#define UART_TX_FULL 1u
#define UART_RX_FULL 2u

#ifdef SSE_COUNTER_CONTROL
#define COUNTER_CTRL REGISTER(SSE_COUNTER_CONTROL + 0x00)
#define COUNTER_LOW REGISTER(SSE_COUNTER_CONTROL + 0x08)

static void start_counter(void) { COUNTER_CTRL = 1; }

uint64_t port_ticks(void) { return COUNTER_LOW; }
#else
#define TIMER_CTRL REGISTER(TIMER_BASE + 0x00)
#define TIMER_VALUE REGISTER(TIMER_BASE + 0x04)
#define TIMER_RELOAD REGISTER(TIMER_BASE + 0x08)

static void start_counter(void) {
  TIMER_CTRL = 0;
  TIMER_RELOAD = 0xFFFFFFFFu;
  TIMER_VALUE = 0xFFFFFFFFu;
  TIMER_CTRL = 1;
}

/* The timer counts down; its complement counts up. */
uint64_t port_ticks(void) { return (uint32_t)~TIMER_VALUE; }
#endif

void port_init(void) {
  UART_BAUDDIV = CLOCK_HZ / CONSOLE_BAUD;
  UART_CTRL = 3; /* transmit and receive */
  (void)UART_DATA; /* drops a stale byte; QEMU looks for input again only after a read, not when reception is enabled */
  start_counter();
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

const char *port_warning(void) { return 0; }
