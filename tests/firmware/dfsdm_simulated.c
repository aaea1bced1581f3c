/* SPDX-License-Identifier: Apache-2.0 */
/* The chip around firmware/microphone/dfsdm.c: registers that remember, a DMA that fills the ring as the clock runs, a core
 * whose counter stands still while it sleeps. Commands come from standard input, one a line. argv[1] is what is dead.
 * Addresses are written out again on purpose. */
#include <stdio.h>
#include <string.h>

#include "../../firmware/microphone/dfsdm.c"
#include "simulated_registers.h"

static int running, systick_of_port;
static const char *dead = "";
static uint64_t cycles, asleep, carried; /* of the clock; those slept through; samples that the DMA wrote */

static uint32_t reset_value(uint32_t address) {
  (void)address;
  return 0;
}

static void run(uint64_t more) {
  cycles += more;
  if (!running || !strcmp(dead, "dfsdm")) return;
  static uint64_t begin;
  if (!begin) begin = cycles;
  for (uint64_t due = (cycles - begin) / 5000; carried < due; carried++)
    ring[carried % 4096] = (int16_t)((int)(carried * 7919 % 4001) - 2000 + 300);
}

uint32_t read32(uint32_t address) {
  run(40);
  if (address == 0x40020048) return 4096 - (uint32_t)(carried % 4096); /* DMA_CNDTR4 */
  if (address == 0xE000E010 && systick_of_port) return 7;
  return *at(address);
}

void write32(uint32_t address, uint32_t value) {
  printf("write %08lx %08lx\n", (unsigned long)address, (unsigned long)value);
  *at(address) = value;
  if (address == 0x40016100 && value & 1u << 17) running = 1; /* RSWSTART */
}

void hold_interrupts(int hold) { printf("hold %d\n", hold); }

/* SysTick, or the DMA's half or whole ring, whichever is first. */
void wait_for_interrupt(void) {
  const uint64_t half = 2048 - carried % 2048;
  uint64_t samples = *at(0xE000E010) & 1 ? (*at(0xE000E014) + 1ull) / 5000 : half;
  if (half < samples) samples = half;
  printf("sleep %d\n", (int)samples);
  asleep += samples * 5000;
  run(samples * 5000);
}

uint64_t port_ticks(void) {
  run(20);
  return (uint32_t)(cycles - asleep);
}

int main(int argc, char **argv) {
  char word[16];
  unsigned count;
  dead = argc > 1 ? argv[1] : "";
  systick_of_port = !strcmp(dead, "dwt");
  const char *reason = microphone_start();
  printf("start %s\nbegin %lu\n", reason ? reason : "-", (unsigned long)carried);
  while (scanf("%15s %u", word, &count) == 2) {
    if (!strcmp(word, "pass")) run(count * 5000ull);
    if (!strcmp(word, "wait")) microphone_wait();
    if (!strcmp(word, "read")) {
      int16_t *samples = malloc(2 * count + 2);
      const size_t given = microphone_read(samples, count);
      printf("samples");
      for (size_t i = 0; i < given; i++) printf(" %d", samples[i]);
      printf("\nlost %lu of %lu\n", (unsigned long)microphone_lost(), (unsigned long)carried);
      free(samples);
    }
  }
  return 0;
}
