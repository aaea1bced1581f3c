/* SPDX-License-Identifier: Apache-2.0 */
/* STM32F405 and F407: console on USART2 (PA2 and PA3), clock from HSI through the PLL, counter in the core's DWT.
 *
 * The console comes up first, on HSI. USART2 has no clock but APB1's, which the PLL changes: its divisor is written
 * anew once the PLL drives the core, and until then everything that fails goes out at HSI's baud rate. Start-up, faults
 * and port_fail are cortexm/'s; its reset handler enables the FPU (CPACR) first. */
#include "port.h"

#include "chip.h"
#include "registers.h"

#ifndef CONSOLE_BAUD
#define CONSOLE_BAUD 115200
#endif

/* RM0090, USART baud rate generation: oversampling by 16, so USARTDIV in sixteenths is f / baud, rounded. */
#define DIVISOR(hz) (((hz) + CONSOLE_BAUD / 2) / CONSOLE_BAUD)

_Static_assert(DIVISOR(HSI_HZ) >= 16 && DIVISOR(PCLK1_HZ) <= 0xFFFF, "USART2 cannot make this baud rate");
#ifdef CLOCK_HZ
_Static_assert(SYSCLK_HZ == CLOCK_HZ, "board.yaml's clock_hz is not what this port sets");
#endif

static const char *warning;
static int console_ready;

const char *port_warning(void) { return warning; }

static void warn(const char *text) {
  if (!warning) warning = text; /* the first is the cause */
}

static void console_init(void) {
  enable_clock(RCC_AHB1ENR, RCC_AHB1ENR_GPIOAEN);
  /* PA2 transmits, PA3 receives, alternate function 7 (data sheet DS8626); nothing drives PA3 until a wire does. */
  change(GPIOA_AFRL, 0xFFu << 8, 0x77u << 8);
  change(GPIOA_PUPDR, 3u << 6, 1u << 6);
  change(GPIOA_MODER, 15u << 4, 10u << 4);
  enable_clock(RCC_APB1ENR, RCC_APB1ENR_USART2EN);
  write32(USART2_CR1, 0);
  write32(USART2_BRR, DIVISOR(HSI_HZ));
  write32(USART2_CR1, USART_CR1_UE | USART_CR1_TE | USART_CR1_RE);
  expect(USART2_SR, USART_SR_TXE, USART_SR_TXE, "USART2 does not start: TXE of USART2_SR stays 0");
  console_ready = 1;
}

/* HSI alone, as after reset, whatever a debugger has left: the console's first divisor is made for it. */
static int hsi_drives_the_core(void) {
  change(RCC_CR, 0, RCC_CR_HSION);
  if (!answers(RCC_CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY)) return 0;
  write32(RCC_CFGR, 0);
  return answers(RCC_CFGR, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_HSI);
}

static void clock_init(void) {
  /* VOS can only be written while the PLL stands still. */
  change(RCC_CR, RCC_CR_PLLON, 0);
  expect(RCC_CR, RCC_CR_PLLRDY, 0, "the PLL does not stop: PLLRDY of RCC_CR stays 1");
  enable_clock(RCC_APB1ENR, RCC_APB1ENR_PWREN);
  change(PWR_CR, 0, PWR_CR_VOS_SCALE1);

  change(FLASH_ACR, FLASH_ACR_LATENCY_MASK, FLASH_WAIT_STATES);
  if (!answers(FLASH_ACR, FLASH_ACR_LATENCY_MASK, FLASH_WAIT_STATES)) {
    /* At 168 MHz flash would be read too early; 16 MHz needs no wait state. */
    warn("FLASH_ACR does not read back its wait states: the clock stays at 16 MHz");
    return;
  }
  /* Revision A, whose prefetch is broken, says another device (errata ES0182). */
  uint32_t prefetch =
      (read32(DBGMCU_IDCODE) & DBGMCU_IDCODE_DEV_ID_MASK) == DBGMCU_IDCODE_DEV_ID_F407 ? FLASH_ACR_PRFTEN : 0;
  change(FLASH_ACR, 0, prefetch | FLASH_ACR_ICEN | FLASH_ACR_DCEN);

  write32(RCC_PLLCFGR, (uint32_t)PLL_M | (uint32_t)PLL_N << RCC_PLLCFGR_PLLN_SHIFT |
                           (uint32_t)(PLL_P / 2 - 1) << RCC_PLLCFGR_PLLP_SHIFT |
                           (uint32_t)PLL_Q << RCC_PLLCFGR_PLLQ_SHIFT);
  change(RCC_CR, 0, RCC_CR_PLLON);
  expect(RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY, "the PLL does not lock: PLLRDY of RCC_CR stays 0");
  /* Scale 1 comes into force with the PLL; the core may not exceed 144 MHz before. */
  expect(PWR_CSR, PWR_CSR_VOSRDY, PWR_CSR_VOSRDY, "the regulator does not reach scale 1: VOSRDY of PWR_CSR stays 0");

  write32(RCC_CFGR, RCC_CFGR_PPRE1_DIV4 | RCC_CFGR_PPRE2_DIV2);
  write32(RCC_CFGR, RCC_CFGR_PPRE1_DIV4 | RCC_CFGR_PPRE2_DIV2 | RCC_CFGR_SW_PLL);
  if (!answers(RCC_CFGR, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_PLL)) {
    write32(RCC_CFGR, 0); /* APB1 at HSI again, as the console's divisor has it */
    port_fail("the system clock does not switch to the PLL: SWS of RCC_CFGR");
  }
  write32(USART2_BRR, DIVISOR(PCLK1_HZ));
}

void port_init(void) {
  int hsi = hsi_drives_the_core();
  console_init();
  if (hsi) {
    clock_init();
  } else {
    warn("HSI does not answer (HSIRDY of RCC_CR, SWS of RCC_CFGR): the clock stays as it is after reset");
  }
  if (!start_dwt()) warn("DWT_CYCCNT does not count: cycle counts mean nothing");
}

/* Waits for the host as long as it takes. There is no FIFO and no flow control: what overran is reported here and found
 * by the CRC of its line. Reading SR, then DR, is also what clears the error flags. */
int port_read(void) {
  for (;;) {
    uint32_t status = read32(USART2_SR);
    if (!(status & (USART_SR_RXNE | USART_SR_ORE | USART_SR_FE | USART_SR_NF))) continue;
    uint32_t data = read32(USART2_DR);
    if (status & USART_SR_ORE) warn("USART2 lost input: a byte came before the last was read (ORE)");
    if (status & USART_SR_RXNE) return (int)(data & 0xFFu);
  }
}

void port_write(const char *data, size_t size) {
  for (size_t i = 0; i < size && console_ready; i++) {
    if (!answers(USART2_SR, USART_SR_TXE, USART_SR_TXE)) {
      console_ready = 0; /* so that port_fail does not come back here */
      port_fail("USART2 does not send: TXE of USART2_SR stays 0");
    }
    write32(USART2_DR, (uint8_t)data[i]);
  }
}

uint64_t port_ticks(void) { return read32(DWT_CYCCNT); }
