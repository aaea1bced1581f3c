/* SPDX-License-Identifier: Apache-2.0 */
/* STM32L4+: console on LPUART1, counter in the core's DWT, clock from HSI16 through the PLL.
 *
 * The console comes up first, on HSI16 itself: whatever fails after it can be reported, and its baud rate does not
 * depend on the PLL. Start-up, faults and port_fail are cortexm/'s; its reset handler enables the FPU (CPACR) first. */
#include "port.h"
#include "registers.h"

#ifndef CONSOLE_BAUD
#define CONSOLE_BAUD 115200
#endif

enum {
  /* Iterations, at least 10 ms at 120 MHz: beyond every start-up time of the data sheet and beyond a byte at 9600 baud. */
  POLLS = 200000,
  /* RM0432, LPUART baud rate generation: LPUARTDIV = 256 f / baud, rounded; it takes 0x300 to 0xFFFFF. */
  LPUARTDIV = (256ull * HSI16_HZ + CONSOLE_BAUD / 2) / CONSOLE_BAUD
};
_Static_assert(LPUARTDIV >= 0x300 && LPUARTDIV <= 0xFFFFF, "LPUART1 cannot make this baud rate from HSI16");
#ifdef CLOCK_HZ
_Static_assert(SYSCLK_HZ == CLOCK_HZ, "board.yaml's clock_hz is not what this port sets");
#endif

#ifdef STM32L4_SIMULATED_REGISTERS /* a test watches the accesses on the host */
uint32_t read32(uint32_t address);
void write32(uint32_t address, uint32_t value);
#else
static uint32_t read32(uint32_t address) { return *(volatile uint32_t *)(uintptr_t)address; }
static void write32(uint32_t address, uint32_t value) { *(volatile uint32_t *)(uintptr_t)address = value; }
#endif

static const char *warning;
static int console_ready;

const char *port_warning(void) { return warning; }

static void warn(const char *text) {
  if (!warning) warning = text; /* the first is the cause */
}

static void change(uint32_t address, uint32_t clear, uint32_t set) { write32(address, (read32(address) & ~clear) | set); }

/* Enables a peripheral clock; the read back is the delay that RM0432 (RCC, peripheral clock enable) asks for. */
static void enable_clock(uint32_t address, uint32_t bit) {
  change(address, 0, bit);
  (void)read32(address);
}

static int answers(uint32_t address, uint32_t mask, uint32_t value) {
  for (int i = 0; i < POLLS; i++) {
    if ((read32(address) & mask) == value) return 1;
  }
  return 0;
}

static void expect(uint32_t address, uint32_t mask, uint32_t value, const char *reason) {
  if (!answers(address, mask, value)) port_fail(reason);
}

static void console_init(void) {
  enable_clock(RCC_APB1ENR1, RCC_APB1ENR1_PWREN);
  change(PWR_CR2, 0, PWR_CR2_IOSV);
  enable_clock(RCC_AHB2ENR, RCC_AHB2ENR_GPIOGEN);
  /* PG7 transmits, PG8 receives, alternate function 8 (data sheet DS12023); wired to the ST-LINK. */
  change(GPIOG_AFRL, 15u << 28, 8u << 28);
  change(GPIOG_AFRH, 15u << 0, 8u << 0);
  change(GPIOG_MODER, 15u << 14, 10u << 14);
  change(RCC_CCIPR, RCC_CCIPR_LPUART1SEL_MASK, RCC_CCIPR_LPUART1SEL_HSI16);
  enable_clock(RCC_APB1ENR2, RCC_APB1ENR2_LPUART1EN);
  write32(LPUART1_CR1, 0);
  write32(LPUART1_BRR, LPUARTDIV);
  write32(LPUART1_CR1, LPUART_CR1_FIFOEN | LPUART_CR1_TE | LPUART_CR1_RE | LPUART_CR1_UE);
  uint32_t acknowledged = LPUART_ISR_TEACK | LPUART_ISR_REACK;
  expect(LPUART1_ISR, acknowledged, acknowledged, "LPUART1 does not start: TEACK and REACK of LPUART1_ISR stay 0");
  console_ready = 1;
}

static void select_clock(uint32_t source, const char *reason) {
  change(RCC_CFGR, RCC_CFGR_SW_MASK, source);
  expect(RCC_CFGR, RCC_CFGR_SW_MASK << RCC_CFGR_SWS_SHIFT, source << RCC_CFGR_SWS_SHIFT, reason);
}

/* RM0432 (PWR, dynamic voltage scaling) orders the steps: boost, wait states, AHB halved, switch, 1 us, AHB whole. */
static void clock_init(void) {
#ifdef STM32L4_BOOST
  change(PWR_CR5, PWR_CR5_R1MODE, 0);
#endif
  change(PWR_CR1, PWR_CR1_VOS_MASK, PWR_CR1_VOS_RANGE1);
  expect(PWR_SR2, PWR_SR2_VOSF, 0, "the regulator does not reach range 1: VOSF of PWR_SR2 stays 1");

  change(FLASH_ACR, FLASH_ACR_LATENCY_MASK, FLASH_WAIT_STATES);
  if (!answers(FLASH_ACR, FLASH_ACR_LATENCY_MASK, FLASH_WAIT_STATES)) {
    /* At 120 MHz flash would be read too early; 16 MHz needs no wait state. */
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

static void counter_init(void) {
  change(DEMCR, 0, DEMCR_TRCENA);
  write32(DWT_CYCCNT, 0);
  change(DWT_CTRL, 0, DWT_CTRL_CYCCNTENA);
  uint32_t before = read32(DWT_CYCCNT);
  for (volatile int i = 0; i < 10; i++) {
  }
  if (read32(DWT_CYCCNT) == before) warn("DWT_CYCCNT does not count: cycle counts mean nothing");
}

void port_init(void) {
  change(RCC_CR, 0, RCC_CR_HSION);
  expect(RCC_CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY, "HSI16 does not start: HSIRDY of RCC_CR stays 0");
  console_init();
  clock_init();
  counter_init();
}

/* Waits for the host as long as it takes. The FIFO holds eight bytes and there is no flow control: what overran is
 * reported here and found by the CRC of its line. */
int port_read(void) {
  for (;;) {
    uint32_t status = read32(LPUART1_ISR);
    if (status & LPUART_ISR_ORE) warn("LPUART1 lost input: a byte came before the last was read (ORE)");
    uint32_t errors = status & (LPUART_ISR_ORE | LPUART_ISR_FE | LPUART_ISR_NE);
    if (errors) write32(LPUART1_ICR, errors);
    if (status & LPUART_ISR_RXFNE) return (int)(read32(LPUART1_RDR) & 0xFFu);
  }
}

void port_write(const char *data, size_t size) {
  for (size_t i = 0; i < size && console_ready; i++) {
    if (!answers(LPUART1_ISR, LPUART_ISR_TXFNF, LPUART_ISR_TXFNF)) {
      console_ready = 0; /* so that port_fail does not come back here */
      port_fail("LPUART1 does not send: TXFNF of LPUART1_ISR stays 0");
    }
    write32(LPUART1_TDR, (uint8_t)data[i]);
  }
}

uint64_t port_ticks(void) { return read32(DWT_CYCCNT); }
