/* SPDX-License-Identifier: Apache-2.0 */
/* STM32L4 and STM32L4+: console on the UART that is wired to the ST-LINK, clock from HSI16 through the PLL, counter in
 * the core's DWT, or SysTick where DWT does not count.
 *
 * The console comes up first, on HSI16 itself: whatever fails after it can be reported, and its baud rate does not
 * depend on the PLL. Start-up, faults and port_fail are cortexm/'s; its reset handler enables the FPU (CPACR) first. */
#include "port.h"

#include "chip.h"
#include "cortexm.h"
#include "registers.h"

#ifndef CONSOLE_BAUD
#define CONSOLE_BAUD 115200
#endif

enum { SYSTICK_LONGEST = 1 << 24, DIVISOR = (1ull * UART_BRR_FACTOR * HSI16_HZ + CONSOLE_BAUD / 2) / CONSOLE_BAUD };
_Static_assert(DIVISOR >= UART_BRR_LEAST && DIVISOR <= UART_BRR_MOST, "the console's UART cannot make this baud rate");
#ifdef CLOCK_HZ
_Static_assert(SYSCLK_HZ == CLOCK_HZ, "board.yaml's clock_hz is not what this port sets");
#endif

static const char *warning;
static int console_ready;
static volatile uint32_t systick; /* SysTick's period in ticks, where it counts; 0: DWT does */
static volatile uint32_t ended;   /* ticks of its periods that have ended */

const char *port_warning(void) { return warning; }

static void warn(const char *text) {
  if (!warning) warning = text; /* the first is the cause */
}

static void console_init(void) {
  enable_clock(RCC_APB1ENR1, RCC_APB1ENR1_PWREN);
#ifdef PIN_PORT_ON_VDDIO2
  change(PWR_CR2, 0, PWR_CR2_IOSV);
#endif
  enable_clock(RCC_AHB2ENR, PIN_PORT_ENABLE);
  connect_pin(PIN_PORT, TX_PIN, PIN_FUNCTION);
  connect_pin(PIN_PORT, RX_PIN, PIN_FUNCTION);
  change(RCC_CCIPR, 3u << UART_SEL_SHIFT, RCC_CCIPR_HSI16 << UART_SEL_SHIFT);
  enable_clock(UART_CLOCK_ENABLE, 1u << UART_CLOCK_BIT);
  write32(UART_CR1, 0);
  write32(UART_BRR, DIVISOR);
  write32(UART_CR1, UART_CR1_FIFOEN | UART_CR1_TE | UART_CR1_RE | UART_CR1_UE);
  uint32_t acknowledged = UART_ISR_TEACK | UART_ISR_REACK;
  expect(UART_ISR, acknowledged, acknowledged, CONSOLE " does not start: TEACK and REACK of " CONSOLE "_ISR stay 0");
  console_ready = 1;
}

static void select_clock(uint32_t source, const char *reason) {
  change(RCC_CFGR, RCC_CFGR_SW_MASK, source);
  expect(RCC_CFGR, RCC_CFGR_SW_MASK << RCC_CFGR_SWS_SHIFT, source << RCC_CFGR_SWS_SHIFT, reason);
}

/* The manuals (PWR, dynamic voltage scaling) order the steps: boost, wait states, AHB halved, switch, 1 us,
 * AHB whole. */
static void clock_init(void) {
#ifdef STM32L4_BOOST
  change(PWR_CR5, PWR_CR5_R1MODE, 0);
#endif
  change(PWR_CR1, PWR_CR1_VOS_MASK, PWR_CR1_VOS_RANGE1);
  expect(PWR_SR2, PWR_SR2_VOSF, 0, "the regulator does not reach range 1: VOSF of PWR_SR2 stays 1");

  change(FLASH_ACR, FLASH_ACR_LATENCY_MASK, FLASH_WAIT_STATES);
  if (!read32(FLASH_ACR)) {
    /* Not even the caches that are on at reset: no flash, so none that is read too early. */
    warn("FLASH_ACR reads 0: an emulator without flash wait states");
  } else if (!answers(FLASH_ACR, FLASH_ACR_LATENCY_MASK, FLASH_WAIT_STATES)) {
    /* At full speed flash would be read too early; 16 MHz needs no wait state. */
    warn("FLASH_ACR does not read back its wait states: the clock stays at 16 MHz");
    select_clock(RCC_CFGR_SW_HSI16, "the system clock does not switch to HSI16: SWS of RCC_CFGR");
    return;
  }
  change(FLASH_ACR, 0, FLASH_ACR_PRFTEN | FLASH_ACR_ICEN | FLASH_ACR_DCEN);

  change(RCC_CR, RCC_CR_PLLON, 0);
  expect(RCC_CR, RCC_CR_PLLRDY, 0, "the PLL does not stop: PLLRDY of RCC_CR stays 1");
  write32(RCC_PLLCFGR, RCC_PLLCFGR_PLLSRC_HSI16 | (uint32_t)(PLL_M - 1) << RCC_PLLCFGR_PLLM_SHIFT |
                           (uint32_t)PLL_N << RCC_PLLCFGR_PLLN_SHIFT | RCC_PLLCFGR_PLLREN |
                           (uint32_t)(PLL_R / 2 - 1) << RCC_PLLCFGR_PLLR_SHIFT);
  change(RCC_CR, 0, RCC_CR_PLLON);
  expect(RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY, "the PLL does not lock: PLLRDY of RCC_CR stays 0");

#ifdef STM32L4_BOOST
  change(RCC_CFGR, RCC_CFGR_HPRE_MASK, RCC_CFGR_HPRE_DIV2);
#endif
  select_clock(RCC_CFGR_SW_PLL, "the system clock does not switch to the PLL: SWS of RCC_CFGR");
#ifdef STM32L4_BOOST
  for (volatile int i = 0; i < 100; i++) { /* at least 1 us at 60 MHz: an iteration takes three cycles or more */
  }
  change(RCC_CFGR, RCC_CFGR_HPRE_MASK, 0);
#endif
}

static void systick_begin(uint32_t period) {
  if (systick) ended = (uint32_t)port_ticks();
  systick = period;
  write32(SYST_RVR, period - 1);
  write32(SYST_CVR, 0); /* any value clears it, and it begins anew */
}

static void counter_init(void) {
  if (start_dwt()) return;
  systick_begin(SYSTICK_LONGEST);
  write32(SYST_CSR, SYST_CSR_ENABLE | SYST_CSR_TICKINT | SYST_CSR_CLKSOURCE);
  if (!moves(SYST_CVR)) warn("neither DWT_CYCCNT nor SysTick counts: counts mean nothing");
}

void port_init(void) {
  change(RCC_CR, 0, RCC_CR_HSION);
  expect(RCC_CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY, "HSI16 does not start: HSIRDY of RCC_CR stays 0");
  console_init();
  clock_init();
  counter_init();
}

static int received(void) {
  for (;;) {
    uint32_t status = read32(UART_ISR);
    if (status & UART_ISR_ORE) warn(CONSOLE " lost input: a byte came before the last was read (ORE)");
    uint32_t errors = status & (UART_ISR_ORE | UART_ISR_FE | UART_ISR_NE);
    if (errors) write32(UART_ICR, errors);
    if (status & UART_ISR_RXNE) return (int)(read32(UART_RDR) & 0xFFu);
  }
}

/* Waits for the host as long as it takes. Eight bytes (LPUART1's FIFO) or one may wait here, and there is no flow
 * control: what overran is reported here and found by the CRC of its line. QEMU gives its USART the next byte only when
 * some timer ends, so SysTick ends often while the host is waited for. */
int port_read(void) {
  if (!systick) return received();
  systick_begin(1000);
  int byte = received();
  systick_begin(SYSTICK_LONGEST);
  return byte;
}

void port_write(const char *data, size_t size) {
  for (size_t i = 0; i < size && console_ready; i++) {
    if (!answers(UART_ISR, UART_ISR_TXE, UART_ISR_TXE)) {
      console_ready = 0; /* so that port_fail does not come back here */
      port_fail(CONSOLE " does not send: TXE of " CONSOLE "_ISR stays 0");
    }
    write32(UART_TDR, (uint8_t)data[i]);
  }
}

/* SysTick's own priority, 0, is above port_lock: no wrap is missed, however long a count takes. */
void cortexm_systick(void) { ended += systick; }

const char *port_counter(void) { return systick ? "systick" : "dwt"; }

/* Either way a tick is one clock of the core, and 32 bits count. SysTick counts down; a period ends when it gets
 * to 0. */
uint64_t port_ticks(void) {
  if (!systick) return read32(DWT_CYCCNT);
  uint32_t before, left;
  do {
    before = ended;
    left = read32(SYST_CVR);
  } while (before != ended);
  return (uint32_t)(before + (left ? systick - left : 0));
}
