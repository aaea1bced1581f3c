/* SPDX-License-Identifier: Apache-2.0 */
/* Arm MPS2 and MPS3 images. board.yaml defines UART_BASE (a CMSDK UART, the console) and the counter: TIMER_BASE, a
 * CMSDK timer, or SSE_COUNTER_CONTROL, the system counter of an SSE-300. Armv8-M images run Secure, hence the secure
 * aliases. Registers: Arm Cortex-M System Design Kit technical reference manual, APB timer and APB UART; SSE-300
 * technical reference manual, system counter. */
#include "port.h"

#include "chip.h"

#define UART_DATA (UART_BASE + 0x00)
#define UART_STATE (UART_BASE + 0x04)
#define UART_STATE_TX_FULL 1u
#define UART_STATE_RX_FULL 2u
#define UART_CTRL (UART_BASE + 0x08)
#define UART_CTRL_TX_AND_RX 3u
#define UART_BAUDDIV (UART_BASE + 0x10)

/* Emulated, the console is a pipe, and whoever reads it may be busy for seconds: longer than a chip's POLLS. */
enum { POLLS_OF_A_READER = 100000000 };

static int console_ready;

#ifdef SSE_COUNTER_CONTROL
#define COUNTER_CTRL (SSE_COUNTER_CONTROL + 0x00)
#define COUNTER_LOW (SSE_COUNTER_CONTROL + 0x08)

static void start_counter(void) { write32(COUNTER_CTRL, 1); }

uint64_t port_ticks(void) { return read32(COUNTER_LOW); }
#else
#define TIMER_CTRL (TIMER_BASE + 0x00)
#define TIMER_VALUE (TIMER_BASE + 0x04)
#define TIMER_RELOAD (TIMER_BASE + 0x08)

static void start_counter(void) {
  write32(TIMER_CTRL, 0);
  write32(TIMER_RELOAD, 0xFFFFFFFFu);
  write32(TIMER_VALUE, 0xFFFFFFFFu);
  write32(TIMER_CTRL, 1);
}

/* The timer counts down; its complement counts up. */
uint64_t port_ticks(void) { return ~read32(TIMER_VALUE); }
#endif

void port_init(void) {
  write32(UART_BAUDDIV, CLOCK_HZ / CONSOLE_BAUD);
  write32(UART_CTRL, UART_CTRL_TX_AND_RX);
  /* drops a stale byte; QEMU looks for input again only after a read, not when reception is enabled */
  (void)read32(UART_DATA);
  console_ready = 1;
  start_counter();
}

/* Waits for the host as long as it takes. */
int port_read(void) {
  while (!(read32(UART_STATE) & UART_STATE_RX_FULL)) {
  }
  return (int)(read32(UART_DATA) & 0xFF);
}

static int room(void) {
  for (int i = 0; i < POLLS_OF_A_READER; i++) {
    if (!(read32(UART_STATE) & UART_STATE_TX_FULL)) return 1;
  }
  return 0;
}

void port_write(const char *data, size_t size) {
  for (; size && console_ready; size--, data++) {
    if (!room()) {
      console_ready = 0; /* so that port_fail does not come back here */
      port_fail("the console's UART does not send: its buffer stays full");
    }
    write32(UART_DATA, (uint8_t)*data);
  }
}

const char *port_warning(void) { return 0; }
