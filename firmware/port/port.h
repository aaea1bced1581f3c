/* SPDX-License-Identifier: Apache-2.0 */
/* What a port (firmware/port/<family>) gives the app: a console, a counter, and nothing else. */
#ifndef TINYFLOW_PORT_H
#define TINYFLOW_PORT_H

#include <stddef.h>
#include <stdint.h>

/* Clocks, console and counter. Every poll in it is bounded and ends in port_fail, never in a hang. */
void port_init(void);

/* Next byte of the console; waits for it. */
int port_read(void);

void port_write(const char *data, size_t size);

/* The free-running counter of board.yaml, counting up, wrapping at COUNTER_WIDTH_BITS. */
uint64_t port_ticks(void);

/* What port_ticks reads. A port leaves it out where board.yaml's counter is the only one. */
const char *port_counter(void);

/* Interrupts off and on around what is counted. */
void port_lock(void);
void port_unlock(void);

/* Stack: paint its free part; then the bytes used of it since, from its top. 0 where it cannot be known (host). */
void port_stack_paint(void);
size_t port_stack_used(void);

/* A warning from start-up (a register that did not read back), or NULL; `hello` reports it. */
const char *port_warning(void);

/* Prints one JSON line {"event":"fault","reason":...} and stops. */
void port_fail(const char *reason) __attribute__((noreturn));

/* Ends the program where there is somewhere to end to (host); stops for ever otherwise. */
void port_exit(int status) __attribute__((noreturn));

#endif
