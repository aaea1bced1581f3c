/* SPDX-License-Identifier: Apache-2.0 */
/* STM32F407 for the stm32f4 port on the host (RM0090). */
#include "simulated.h"

static uint32_t reset_value(uint32_t address) {
  switch (address) {
    case 0x40023800: return 0x00000083; /* RCC_CR: HSI on and ready */
    case 0x40023804: return 0x24003010; /* RCC_PLLCFGR */
    case 0x40007000: return 0x00004000; /* PWR_CR: scale 1 */
    case 0x40020000: return 0xA8000000; /* GPIOA_MODER: the debug port's pins */
    case 0x4002000C: return 0x64000000; /* GPIOA_PUPDR */
    default: return 0;
  }
}

static uint32_t answer(uint32_t address, uint32_t value) {
  switch (address) {
    case 0x40023800: /* RCC_CR */
      value &= ~(1u << 1 | 1u << 25);
      if (value & 1 && !is_dead("hsi")) value |= 1u << 1;
      if (value >> 24 & 1 && !is_dead("pll")) value |= 1u << 25;
      if (is_dead("pll stays")) value |= 1u << 25;
      return value;
    case 0x40023808: /* RCC_CFGR: SWS follows SW */
      return (value & ~0xCu) | (is_dead("switch") ? 0 : (value & 3) << 2);
    case 0x40023C00: /* FLASH_ACR */
      return is_dead("flash") ? value & ~7u : value;
    case 0x40007004: /* PWR_CSR: VOSRDY needs the PLL */
      return *at(0x40023800) >> 24 & 1 && !is_dead("regulator") ? 1u << 14 : 0;
    case 0x40004400: /* USART2_SR */
      if (!(*at(0x4000440C) >> 13 & 1) || is_dead("uart")) return 0;
      value = input_waits() ? 1u << 5 : 0;
      if (is_dead("send") && ready) return value;
      if (is_dead("overrun") && *input == 'b') value |= 1u << 3;
      if (is_dead("noise") && *input == 'b') value |= 1u << 2 | 1u << 1;
      return value | 1u << 7;
    case 0x40004404: /* USART2_DR */
      return take_input();
    case 0xE0042000: /* DBGMCU_IDCODE */
      return is_dead("revision a") ? 0x20006411 : 0x10076413;
    default: return core_answers(address, value);
  }
}

static void written(uint32_t address, uint32_t value) {
  if (address == 0x40004404) send((uint8_t)value);
}
