/* SPDX-License-Identifier: Apache-2.0 */
/* The stm32l4 port on simulated registers: prints every write, answers as the chip does, except what argv[1] kills.
 * Its addresses are written out again on purpose, so that the port's own header is not its own witness. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "port.h"

#ifdef STM32L475
#define UART 0x40013800 /* USART1 */
#else
#define UART 0x40008000 /* LPUART1 */
#endif

void cortexm_systick(void);

static const char *dead = "";
static int ready; /* port_init has returned */
static uint32_t reset[][2] = {
    {0x40021000, 0x00000063}, /* RCC_CR: MSI on and ready, range 6 */
    {0x40022000, 0x00000600}, /* FLASH_ACR: caches on, no wait state */
    {0x40007000, 0x00000200}, /* PWR_CR1: range 1 */
    {0x40007080, 0x00000100}, /* PWR_CR5: normal mode */
    {0x48001800, 0xFFFFFFFF}, /* GPIOG_MODER: analogue */
    {0x48000400, 0xFFFFFEBF}, /* GPIOB_MODER: analogue, two pins of JTAG */
};
static struct {
  uint32_t address, value;
} memory[64];
static int used;

static uint32_t *at(uint32_t address) {
  for (int i = 0; i < used; i++)
    if (memory[i].address == address) return &memory[i].value;
  if (used == 64) abort();
  memory[used].address = address;
  memory[used].value = 0;
  for (unsigned i = 0; i < sizeof reset / sizeof reset[0]; i++)
    if (reset[i][0] == address) memory[used].value = reset[i][1];
  return &memory[used++].value;
}

/* SysTick counts down from the reload value to 0, where its exception comes at once, and again. */
static uint32_t elapsed; /* of its period */
static uint32_t systick(void) {
  const uint32_t period = *at(0xE000E014) + 1;
  if (!(*at(0xE000E010) & 1) || !strcmp(dead, "counters")) return 0;
  elapsed += ready ? 0x100000 : 7;
  if (elapsed >= period) {
    elapsed -= period;
    if (*at(0xE000E010) & 2) cortexm_systick();
  }
  return elapsed ? period - elapsed : 0;
}

static int is_dead(const char *what) { return strcmp(dead, what) == 0; }

uint32_t read32(uint32_t address) {
  static const char *input = "ab";
  static uint32_t cycles;
  uint32_t value = *at(address);
  switch (address) {
    case 0x40021000: /* RCC_CR */
      value &= ~(1u << 10 | 1u << 25);
      if (value >> 8 & 1 && !is_dead("hsi16")) value |= 1u << 10;
      if (value >> 24 & 1 && !is_dead("pll")) value |= 1u << 25;
      break;
    case 0x40021008: /* RCC_CFGR: SWS follows SW */
      value = (value & ~0xCu) | (is_dead("switch") ? 0 : (value & 3) << 2);
      break;
    case 0x40022000:
      if (is_dead("flash")) value &= ~0xFu;
      if (is_dead("flash interface")) value = 0;
      break;
    case 0x40007014: /* PWR_SR2 */
      value = is_dead("regulator") ? 1u << 10 : 0;
      break;
    case UART + 0x1C: /* ISR */
      value = 0;
      if (*at(UART) & 1 && !is_dead("uart")) value |= 1u << 21 | 1u << 22;
      if (!(is_dead("send") && ready)) value |= 1u << 7;
      if (*input) value |= 1u << 5;
      if (is_dead("overrun") && *input == 'b') value |= (*at(UART + 0x20) & 8) ? 0 : 8;
      break;
    case UART + 0x24: /* RDR */
      value = (uint32_t)*input++;
      break;
    case 0xE0001004: /* DWT_CYCCNT */
      value = (*at(0xE0001000) & 1 && *at(0xE000EDFC) >> 24 & 1 && !is_dead("dwt") && !is_dead("counters")) ? (cycles += 7) : 0;
      break;
    case 0xE000E018: /* SYST_CVR */
      value = systick();
      break;
  }
  return value;
}

void write32(uint32_t address, uint32_t value) {
  printf("write %08lx %08lx\n", (unsigned long)address, (unsigned long)value);
  *at(address) = value;
  if (address == 0xE000E018) elapsed = 0;
}

void port_fail(const char *reason) {
  port_write("\n", 1); /* as cortexm/fault.c does: the console may be what is dead */
  printf("fail %s\n", reason);
  exit(3);
}

int main(int argc, char **argv) {
  dead = argc > 1 ? argv[1] : "";
  port_init();
  ready = 1;
  int first = port_read(), second = port_read();
  port_write("ok", 2);
  uint32_t before = (uint32_t)port_ticks(), step = (uint32_t)port_ticks() - before, even = step != 0;
  for (int i = 0; i < 5000; i++) { /* SysTick: beyond 2^24 and 2^32; it is read again where it wrapped during a read */
    uint32_t last = before;
    before = (uint32_t)port_ticks();
    even &= i == 0 || before - last == step || before - last == 2 * step;
  }
  printf("read %c%c\ncounts %u by %s\nwarning %s\n", first, second, (unsigned)even, port_counter(), port_warning() ? port_warning() : "-");
  return 0;
}
