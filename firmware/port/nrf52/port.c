/* SPDX-License-Identifier: Apache-2.0 */
/* nRF52840: console on UARTE0 (P0.06 and P0.08), clock from the 32 MHz crystal (HFXO), counter in the core's DWT.
 *
 * The core runs at 64 MHz from reset; the crystal only makes that exact. So the console comes up first, on the internal
 * oscillator: whatever fails after it can be reported. Start-up, faults and port_fail are cortexm/'s; its reset handler
 * enables the FPU (CPACR) first.
 *
 * UARTE moves bytes by DMA alone, and DMA reaches only RAM. What is sent is copied into a small buffer. Reception is a
 * transfer of one byte at a time: ENDRX is the only event that says that a byte lies in RAM (RXDRDY comes before,
 * AMOUNT counts whole transfers), so a longer transfer would keep the end of a line to itself. Between two transfers
 * the receiver goes on and keeps what comes in its FIFO of a few bytes; the shortcut from ENDRX to STARTRX stays off,
 * for with it a third byte would overwrite the first. */
#include "port.h"

#include "chip.h"
#include "registers.h"

#ifndef CONSOLE_BAUD
#define CONSOLE_BAUD 115200
#endif

/* The product specification's own values; no formula gives them. */
#if CONSOLE_BAUD == 115200
#define BAUDRATE 0x01D60000u
#elif CONSOLE_BAUD == 1000000
#define BAUDRATE 0x10000000u
#else
#error "firmware/port/nrf52 knows the baud rates 115200 and 1000000"
#endif
#ifdef CLOCK_HZ
_Static_assert(HFCLK_HZ == CLOCK_HZ, "board.yaml's clock_hz is not this chip's");
#endif

enum { SENT_BYTES = 32 }; /* 2.8 ms at 115200 baud, well within a poll */
static volatile uint8_t sent[SENT_BYTES];
static volatile uint8_t received;

static const char *warning;
static int console_ready;

const char *port_warning(void) { return warning; }

static void warn(const char *text) {
  if (!warning) warning = text; /* the first is the cause */
}

/* The event first: it must be down before the next byte raises it. */
static void receive_next(void) {
  write32(UARTE0_EVENTS_ENDRX, 0);
  write32(UARTE0_TASKS_STARTRX, 1);
}

static void console_init(void) {
  write32(P0_OUTSET, 1u << TX_PIN); /* idle is high */
  write32(P0_PIN_CNF(TX_PIN), PIN_CNF_OUTPUT);
  write32(P0_PIN_CNF(RX_PIN), PIN_CNF_INPUT_PULLUP);
  write32(UARTE0_ENABLE, 0); /* a boot loader may have left it on */
  write32(UARTE0_PSEL_TXD, TX_PIN);
  write32(UARTE0_PSEL_RXD, RX_PIN);
  write32(UARTE0_BAUDRATE, BAUDRATE);
  write32(UARTE0_CONFIG, 0);
  write32(UARTE0_TXD_PTR, (uint32_t)(uintptr_t)sent);
  write32(UARTE0_RXD_PTR, (uint32_t)(uintptr_t)&received);
  write32(UARTE0_RXD_MAXCNT, 1);
  write32(UARTE0_EVENTS_RXSTARTED, 0);
  write32(UARTE0_ENABLE, UARTE0_ENABLE_ENABLED);
  receive_next();
  expect(UARTE0_EVENTS_RXSTARTED, 1, 1, "UARTE0 does not start: no event RXSTARTED");
  console_ready = 1;
}

static void clock_init(void) {
  write32(NVMC_ICACHECNF, NVMC_ICACHECNF_CACHEEN);
  write32(CLOCK_EVENTS_HFCLKSTARTED, 0);
  write32(CLOCK_TASKS_HFCLKSTART, 1);
  if (!answers(CLOCK_EVENTS_HFCLKSTARTED, 1, 1))
    warn("HFXO does not start: the clock stays on the internal oscillator");
}

void port_init(void) {
  /* From revision 3 on the debug port closes at every reset unless UICR and the firmware both open it: do as
   * UICR says. */
  write32(APPROTECT_DISABLE, read32(UICR_APPROTECT));
  console_init();
  clock_init();
  if (!start_dwt()) warn("DWT_CYCCNT does not count: cycle counts mean nothing");
}

/* Waits for the host as long as it takes. There is no flow control: what overran is reported here and found by the CRC
 * of its line. */
int port_read(void) {
  for (;;) {
    if (read32(UARTE0_EVENTS_ERROR)) {
      uint32_t errors = read32(UARTE0_ERRORSRC);
      write32(UARTE0_EVENTS_ERROR, 0);
      write32(UARTE0_ERRORSRC, errors);
      if (errors & UARTE0_ERRORSRC_OVERRUN) warn("UARTE0 lost input: a byte came before the last was read (OVERRUN)");
    }
    if (read32(UARTE0_EVENTS_ENDRX)) {
      int byte = received;
      receive_next();
      return byte;
    }
  }
}

void port_write(const char *data, size_t size) {
  while (size && console_ready) {
    uint32_t count = 0;
    for (; size && count < SENT_BYTES; size--) sent[count++] = (uint8_t)*data++;
    write32(UARTE0_TXD_MAXCNT, count);
    write32(UARTE0_EVENTS_ENDTX, 0);
    write32(UARTE0_TASKS_STARTTX, 1);
    if (!answers(UARTE0_EVENTS_ENDTX, 1, 1)) {
      console_ready = 0; /* so that port_fail does not come back here */
      port_fail("UARTE0 does not send: no event ENDTX");
    }
  }
}

uint64_t port_ticks(void) { return read32(DWT_CYCCNT); }
