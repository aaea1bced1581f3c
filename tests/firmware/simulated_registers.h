/* SPDX-License-Identifier: Apache-2.0 */
/* The registers of a simulated chip: each holds what was written to it last, and before that its reset value. */
#include <stdint.h>
#include <stdlib.h>

static uint32_t reset_value(uint32_t address); /* the chip's part */

static struct {
  uint32_t address, value;
} registers[128];
static int used;

static uint32_t *at(uint32_t address) {
  for (int i = 0; i < used; i++)
    if (registers[i].address == address) return &registers[i].value;
  if (used == 128) abort();
  registers[used].address = address;
  registers[used].value = reset_value(address);
  return &registers[used++].value;
}
