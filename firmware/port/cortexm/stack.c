/* SPDX-License-Identifier: Apache-2.0 */
/* The painted stack: what is still painted was never used. */
#include "cortexm.h"
#include "port.h"

#define PAINT 0xC5C5C5C5u
#define MARGIN 8 /* words below the stack pointer left alone */

static uint32_t *stack_pointer(void) {
  uint32_t *sp;
  __asm volatile("mov %0, sp" : "=r"(sp));
  return sp;
}

__attribute__((noinline)) void port_stack_paint(void) {
  volatile uint32_t *end = stack_pointer() - MARGIN;
  for (volatile uint32_t *word = __stack_bottom; word < end; word++) *word = PAINT;
}

size_t port_stack_used(void) {
  const volatile uint32_t *word = __stack_bottom;
  while (word < __stack_top && *word == PAINT) word++;
  return (size_t)((uintptr_t)__stack_top - (uintptr_t)word);
}
