/* SPDX-License-Identifier: Apache-2.0 */
/* An MPS2's UART and timer, or an MPS3's UART and system counter, for the mps2 port on the host (Cortex-M System Design
 * Kit and SSE-300 technical reference manuals). */
#include "simulated.h"

#ifdef SSE_COUNTER_CONTROL
enum { UART = 0x59303000, COUNTER = 0x58100008, COUNTER_ENABLE = 0x58100000, UP = 1 };
#else
enum { UART = 0x40004000, COUNTER = 0x40000004, COUNTER_ENABLE = 0x40000000, UP = 0 };
#endif

static uint32_t reset_value(uint32_t address) { return address == 0x40000008 ? 1 : 0; }

static uint32_t answer(uint32_t address, uint32_t value) {
  const int on = *at(UART + 8) == 3;
  if (address == UART) return on && input_waits() ? take_input() : 0;
  if (address == UART + 4) return (ready && is_dead("send") ? 1u : 0) | (on && input_waits() ? 2u : 0);
  if (address == COUNTER && *at(COUNTER_ENABLE) == 1) return *at(COUNTER) += UP ? 7u : 0u - 7u;
  return core_answers(address, value);
}

static void written(uint32_t address, uint32_t value) {
  if (address == UART && *at(UART + 8) & 1) send((uint8_t)value);
}
