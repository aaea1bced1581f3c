/* SPDX-License-Identifier: Apache-2.0 */
/* This machine: the console is stdin and stdout, the counter the wall clock. The end of stdin ends the program. */
#define _POSIX_C_SOURCE 199309L
#include "port.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void port_init(void) {}

int port_read(void) {
  fflush(stdout);
  int c = getchar();
  if (c == EOF) port_exit(0);
  return c;
}

void port_write(const char *data, size_t size) { fwrite(data, 1, size, stdout); }

uint64_t port_ticks(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void port_lock(void) {}

void port_unlock(void) {}

void port_stack_paint(void) {}

size_t port_stack_used(void) { return 0; }

const char *port_warning(void) { return NULL; }

void port_fail(const char *reason) {
  fputs("\n{\"event\":\"fault\",\"reason\":\"", stdout);
  fputs(reason, stdout);
  fputs("\"}\n", stdout);
  port_exit(1);
}

void port_exit(int status) {
  fflush(stdout);
  exit(status);
}
