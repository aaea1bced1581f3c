/* SPDX-License-Identifier: Apache-2.0 */
/* What a microphone driver (firmware/microphone/<name>.c, chosen by board.yaml's `microphone`) gives the app: 16-bit
 * mono samples at FRONTEND_SAMPLE_RATE hertz (frontend_config.h), through a ring that the hardware fills by itself
 * (DMA). The ring bridges what the app does meanwhile, one network and a few lines on the console: at least 100 ms. */
#ifndef TINYFLOW_MICROPHONE_H
#define TINYFLOW_MICROPHONE_H

#include <stddef.h>
#include <stdint.h>

/* Starts it, or starts it anew with an empty ring and nothing lost. NULL, or the reason why it does not start; every
 * poll in it is bounded. port_init came before, so clocks and console run. */
const char *microphone_start(void);

/* The oldest samples not yet read, `count` at most, without waiting. Returns how many, 0 where there are none. */
size_t microphone_read(int16_t *samples, size_t count);

/* Sleeps until there may be new samples, or until 100 ms have passed; at once when some wait to be read. On a Cortex-M
 * that is WFI with the DMA's interrupt enabled in the NVIC and held off by PRIMASK: it wakes the core and no handler
 * runs, for the vector table has none. (BASEPRI would hold off the waking too.) SysTick, the same way, is the 100 ms.
 * Before PRIMASK is cleared the interrupt is disabled and no longer pending. */
void microphone_wait(void);

/* Samples that nobody read in time since microphone_start: the app adds them to its time. They are the oldest: the next
 * microphone_read goes on behind them. */
uint32_t microphone_lost(void);

#endif
