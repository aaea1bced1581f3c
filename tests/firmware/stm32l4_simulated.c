/* SPDX-License-Identifier: Apache-2.0 */
/* STM32L4R5 and STM32L475 for the stm32l4 port on the host (RM0432, RM0351). */
#include "simulated.h"

#ifdef STM32L475
#define UART 0x40013800 /* USART1 */
#else
#define UART 0x40008000 /* LPUART1 */
#endif

void cortexm_systick(void);

static uint32_t reset_value(uint32_t address) {
  switch (address) {
    case 0x40021000: return 0x00000063; /* RCC_CR: MSI on and ready, range 6 */
    case 0x40022000: return 0x00000600; /* FLASH_ACR: caches on, no wait state */
    case 0x40007000: return 0x00000200; /* PWR_CR1: range 1 */
    case 0x40007080: return 0x00000100; /* PWR_CR5: normal mode */
    case 0x48001800: return 0xFFFFFFFF; /* GPIOG_MODER: analogue */
    case 0x48000400: return 0xFFFFFEBF; /* GPIOB_MODER: analogue, two pins of JTAG */
    default: return 0;
  }
}

/* SysTick counts down from the reload value to 0, where its exception comes at once, and again. */
static uint32_t elapsed; /* of its period */
static uint32_t systick(void) {
  const uint32_t period = *at(0xE000E014) + 1;
  if (!(*at(0xE000E010) & 1) || is_dead("counters")) return 0;
  elapsed += ready ? 0x100000 : 7;
  if (elapsed >= period) {
    elapsed -= period;
    if (*at(0xE000E010) & 2) cortexm_systick();
  }
  return elapsed ? period - elapsed : 0;
}

static uint32_t answer(uint32_t address, uint32_t value) {
  switch (address) {
    case 0x40021000: /* RCC_CR */
      value &= ~(1u << 10 | 1u << 25);
      if (value >> 8 & 1 && !is_dead("hsi16")) value |= 1u << 10;
      if (value >> 24 & 1 && !is_dead("pll")) value |= 1u << 25;
      return value;
    case 0x40021008: /* RCC_CFGR: SWS follows SW */
      return (value & ~0xCu) | (is_dead("switch") ? 0 : (value & 3) << 2);
    case 0x40022000: /* FLASH_ACR */
      if (is_dead("flash interface")) return 0;
      return is_dead("flash") ? value & ~0xFu : value;
    case 0x40007014: /* PWR_SR2 */
      return is_dead("regulator") ? 1u << 10 : 0;
    case UART + 0x1C: /* ISR */
      value = input_waits() ? 1u << 5 : 0;
      if (*at(UART) & 1 && !is_dead("uart")) value |= 1u << 21 | 1u << 22;
      if (!(is_dead("send") && ready)) value |= 1u << 7;
      if (is_dead("overrun") && *input == 'b') value |= (*at(UART + 0x20) & 8) ? 0 : 8;
      return value;
    case UART + 0x24: /* RDR */
      return take_input();
    case 0xE000E018: /* SYST_CVR */
      return systick();
    default: return is_dead("counters") ? value : core_answers(address, value);
  }
}

static void written(uint32_t address, uint32_t value) {
  if (address == UART + 0x28) send((uint8_t)value); /* TDR */
  if (address == 0xE000E018) elapsed = 0;
}
