/* SPDX-License-Identifier: Apache-2.0 */
/* nRF52840 for the nrf52 port on the host (product specification): UARTE0 moves bytes to and from this process's own
 * memory, so the program must be linked where 32 bits reach it (-no-pie). */
#include "simulated.h"

static int receiving;

static uint32_t reset_value(uint32_t address) { return address == 0x10001208 ? 0x5A : 0; /* UICR APPROTECT */ }

static uint8_t *memory(uint32_t address) { return (uint8_t *)(uintptr_t)address; }

/* A transfer that runs takes what waits, as many as RXD.MAXCNT; then ENDRX, and nothing more until STARTRX. */
static void receive(void) {
  static uint32_t count;
  while (receiving && input_waits()) {
    memory(*at(0x40002534))[count++] = take_input();
    if (count < *at(0x40002538)) continue;
    count = 0;
    receiving = 0;
    *at(0x40002110) = 1;
  }
}

static uint32_t answer(uint32_t address, uint32_t value) {
  if (*at(0x40002500) == 8) receive();
  switch (address) {
    case 0x40002110: return *at(address); /* EVENTS_ENDRX, as it is now */
    case 0x4000214C: return is_dead("uart") ? 0 : value;
    case 0x40002124: /* EVENTS_ERROR */
      if (ready && *input == 'b' && (is_dead("overrun") || is_dead("noise"))) {
        static int once;
        if (!once++) {
          *at(0x40002480) = is_dead("overrun") ? 1 : 4;
          return *at(address) = 1;
        }
      }
      return value;
    default: return core_answers(address, value);
  }
}

static void written(uint32_t address, uint32_t value) {
  if (address == 0x40002480) *at(address) = 0; /* ones clear */
  if (address == 0x40000000 && !is_dead("crystal")) *at(0x40000100) = 1;
  if (*at(0x40002500) != 8 || !value) return;
  if (address == 0x40002000) { /* TASKS_STARTRX */
    receiving = 1;
    *at(0x4000214C) = 1;
  }
  if (ready && is_dead("send")) return;
  if (address == 0x40002008) { /* TASKS_STARTTX */
    for (uint32_t i = 0; i < *at(0x40002548); i++) send(memory(*at(0x40002544))[i]);
    *at(0x40002120) = 1;
  }
}
