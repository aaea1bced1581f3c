/* SPDX-License-Identifier: Apache-2.0 */
/* Counting what a piece of code costs, in ticks of the board's counter, interrupts off, the reading's own share taken
 * away. */
#ifndef TINYFLOW_COUNTING_H
#define TINYFLOW_COUNTING_H

#include <stdint.h>

/* Ticks from `begin` to `end` on a counter of `width_bits` that may have wrapped once. */
uint64_t counting_elapsed(uint64_t begin, uint64_t end, unsigned width_bits);

/* Learns what an empty count costs. */
void counting_calibrate(void);
uint64_t counting_overhead(void);

uint64_t counting_begin(void);
uint64_t counting_end(uint64_t begin);

#endif
