/* SPDX-License-Identifier: Apache-2.0 */
/* Registers of a simulated chip around a port on the host. The file that includes this says how its chip answers, with
 * addresses written out again on purpose: the port's own header is not to be its own witness.
 *
 * Alone, with the main below: every write is printed, the console's input is "ab", and argv[1] names what is dead.
 * With WHOLE_APP the app has its own main, and the console is standard input and output. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "port.h"
#include "simulated_registers.h"

/* The chip's part. */
static uint32_t answer(uint32_t address, uint32_t value);  /* what a read sees of the value that was written last */
static void written(uint32_t address, uint32_t value);

uint32_t read32(uint32_t address);
void write32(uint32_t address, uint32_t value);

uint32_t read32(uint32_t address) { return answer(address, *at(address)); }

#ifdef WHOLE_APP
static const char *const input = ""; /* what only a chip with something dead asks for */
static const int ready = 1;

static int is_dead(const char *what) { return !what; }

static int input_waits(void) {
  struct pollfd input = {.fd = 0, .events = POLLIN};
  return poll(&input, 1, 0) > 0;
}

static uint8_t take_input(void) {
  uint8_t byte;
  if (read(0, &byte, 1) != 1) exit(0); /* the host has closed the line */
  return byte;
}

static void send(uint8_t byte) {
  if (write(1, &byte, 1) != 1) exit(1);
}

void write32(uint32_t address, uint32_t value) {
  *at(address) = value;
  written(address, value);
}

/* What cortexm/ gives on the chip. */
void port_lock(void) {}
void port_unlock(void) {}
void port_stack_paint(void) {}
size_t port_stack_used(void) { return 0; }
void port_exit(int status) { exit(status); }
void port_fail(const char *reason) {
  port_write(reason, strlen(reason));
  exit(1);
}
#else
static const char *dead = "";
static const char *input = "ab";
static int ready; /* port_init has returned */

static int is_dead(const char *what) { return strcmp(dead, what) == 0; }
static int input_waits(void) { return ready && *input; }
static uint8_t take_input(void) { return (uint8_t)*input++; }
static void send(uint8_t byte) { printf("sent %c\n", byte); }

void write32(uint32_t address, uint32_t value) {
  printf("write %08lx %08lx\n", (unsigned long)address, (unsigned long)value);
  *at(address) = value;
  written(address, value);
}

void port_fail(const char *reason) {
  port_write("\n", 1); /* as cortexm/fault.c does: the console may be what is dead */
  printf("fail %s\n", reason);
  exit(3);
}

__attribute__((weak)) const char *port_counter(void) { return "dwt"; }

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
#endif

/* The core's cycle counter (Armv7-M), which a chip's answer() falls back on. */
static uint32_t core_answers(uint32_t address, uint32_t value) {
  static uint32_t cycles;
  if (address != 0xE0001004) return value;
  return (*at(0xE0001000) & 1 && *at(0xE000EDFC) >> 24 & 1 && !is_dead("dwt")) ? (cycles += 7) : 0;
}
