/* SPDX-License-Identifier: Apache-2.0 */
#include "counting.h"

#include "app_config.h"
#include "port.h"

static uint64_t overhead;

__attribute__((weak)) const char *port_counter(void) { return COUNTER_NAME; }

uint64_t counting_elapsed(uint64_t begin, uint64_t end, unsigned width_bits) {
  uint64_t mask = width_bits < 64 ? ((uint64_t)1 << width_bits) - 1 : ~(uint64_t)0;
  return (end - begin) & mask;
}

uint64_t counting_begin(void) {
  port_lock();
  return port_ticks();
}

uint64_t counting_end(uint64_t begin) {
  uint64_t elapsed = counting_elapsed(begin, port_ticks(), COUNTER_WIDTH_BITS);
  port_unlock();
  return elapsed > overhead ? elapsed - overhead : 0;
}

/* The least of several: a cache or a sanitizer makes the first dearer. */
void counting_calibrate(void) {
  uint64_t least = ~(uint64_t)0;
  overhead = 0;
  for (int i = 0; i < 32; i++) {
    uint64_t empty = counting_end(counting_begin());
    if (empty < least) least = empty;
  }
  overhead = least;
}

uint64_t counting_overhead(void) { return overhead; }
