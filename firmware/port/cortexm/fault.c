/* SPDX-License-Identifier: Apache-2.0 */
/* Faults end as one JSON line with the reason and the registers, on a stack of their own, then in a stop. */
#include "cortexm.h"
#include "port.h"

void cortexm_fault(void);
void cortexm_fault_report(const uint32_t *frame, uint32_t exception_return);

/* The faulting code's stack may be full or gone. */
uint32_t cortexm_fault_stack[192] __attribute__((aligned(8), used));

static void write_text(const char *text) {
  for (; *text; text++) port_write(text, 1);
}

static void write_hex(const char *name, uint32_t value) {
  char digits[] = "0x00000000";
  for (int i = 9; i > 1; i--, value >>= 4) digits[i] = "0123456789abcdef"[value & 15];
  write_text(",\"");
  write_text(name);
  write_text("\":\"");
  write_text(digits);
  write_text("\"");
}

/* A newline first: the fault may have cut a line short. */
static void write_reason(const char *reason) {
  write_text("\n{\"event\":\"fault\",\"reason\":\"");
  write_text(reason);
  write_text("\"");
}

/* BASEPRI, not PRIMASK: under PRIMASK a stack overflow locks the core up, for its BusFault becomes a HardFault, whose
 * stacking fails in turn. Faults keep priority 0; a port that enables an interrupt gives it 0x20 or less urgent. */
void port_lock(void) { __asm volatile("msr basepri, %0\n isb" ::"r"(0x20) : "memory"); }

void port_unlock(void) { __asm volatile("msr basepri, %0" ::"r"(0) : "memory"); }

void port_fail(const char *reason) {
  port_lock();
  write_reason(reason);
  write_text("}\n");
  port_exit(1);
}

void port_exit(int status) {
  (void)status;
  for (;;) __asm volatile("wfi");
}

/* Which of CFSR's bits (Armv7-M ARM, B3.2.15) is set, in words. */
static const char *reason_of(uint32_t exception, uint32_t cfsr, uint32_t hfsr) {
  static const struct {
    uint32_t bit;
    const char *text;
  } reasons[] = {
      {1u << 0, "instruction fetch refused by the memory protection"},
      {1u << 1, "data access refused by the memory protection"},
      {1u << 4, "stacking refused by the memory protection"},
      {1u << 8, "bus fault on instruction fetch"},
      {1u << 12, "bus fault on stacking"},
      {1u << 9, "bus fault on a data access"},
      {1u << 10, "imprecise bus fault on a data access"},
      {1u << 11, "bus fault on unstacking"},
      {1u << 13, "bus fault on lazy floating-point stacking"},
      {1u << 16, "undefined instruction"},
      {1u << 17, "invalid execution state"},
      {1u << 18, "invalid return from exception"},
      {1u << 19, "no coprocessor (FPU off or absent)"},
      {1u << 20, "stack overflow"},
      {1u << 24, "unaligned access"},
      {1u << 25, "division by zero"},
  };
  for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
    if (cfsr & reasons[i].bit) return reasons[i].text;
  if (hfsr & 2u) return "vector table read failed";
  return exception == 3 ? "hard fault" : exception == 2 ? "non-maskable interrupt" : "unexpected exception";
}

__attribute__((used)) void cortexm_fault_report(const uint32_t *frame, uint32_t exception_return) {
  static const char *const names[] = {"r0", "r1", "r2", "r3", "r12", "lr", "pc", "psr"};
  static volatile uint32_t nested;
  uint32_t exception, cfsr = SCB_CFSR;
  __asm volatile("mrs %0, ipsr" : "=r"(exception));
  if (nested++) port_exit(1); /* the reporter itself faulted: nothing more can be said */
  uintptr_t bottom = (uintptr_t)__stack_bottom, top = (uintptr_t)__stack_top, at = (uintptr_t)frame;
  int readable = at >= bottom && at + 32 <= top && !(at & 3);
  uint32_t below = (cfsr & (1u << 7) ? SCB_MMFAR : cfsr & (1u << 15) ? SCB_BFAR : (uint32_t)bottom) - (uint32_t)bottom;
  write_reason(at < bottom || below > 0xFFFF0000u ? "stack overflow" : reason_of(exception & 0x1FF, cfsr, SCB_HFSR));
  write_hex("exception", exception & 0x1FF);
  write_hex("sp", (uint32_t)at);
  for (int i = 0; readable && i < 8; i++) write_hex(names[i], frame[i]);
  write_hex("cfsr", cfsr);
  write_hex("hfsr", SCB_HFSR);
  if (cfsr & (1u << 7)) write_hex("address", SCB_MMFAR);
  if (cfsr & (1u << 15)) write_hex("address", SCB_BFAR);
  write_hex("exc_return", exception_return);
  write_text("}\n");
  port_exit(1);
}

__attribute__((naked, used)) void cortexm_fault(void) {
  __asm volatile(
      "tst lr, #4\n"
      "ite eq\n"
      "mrseq r0, msp\n"
      "mrsne r0, psp\n"
      "mov r1, lr\n"
      "ldr r2, =cortexm_fault_stack + 768\n"
      "mov sp, r2\n"
      "b cortexm_fault_report\n");
}
