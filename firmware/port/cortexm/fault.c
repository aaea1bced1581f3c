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
  write_text(",\"");
  write_text(name);
  write_text("\":\"0x");
  for (int digit = 0; digit < 8; digit++, value <<= 4) port_write("0123456789abcdef" + (value >> 28), 1);
  write_text("\"");
}

/* A newline first: the fault may have cut a line short. */
static void write_fault(void) { write_text("\n{\"event\":\"fault\",\"reason\":\""); }

/* BASEPRI, not PRIMASK: under PRIMASK a stack overflow locks the core up, for its BusFault becomes a HardFault, whose
 * stacking fails in turn. Faults keep priority 0; a port that enables an interrupt gives it 0x20 or less urgent. */
void port_lock(void) { __asm volatile("msr basepri, %0\n isb" ::"r"(0x20) : "memory"); }

void port_unlock(void) { __asm volatile("msr basepri, %0" ::"r"(0) : "memory"); }

void port_fail(const char *reason) {
  port_lock();
  write_fault();
  write_text(reason);
  write_text("\"}\n");
  port_exit(1);
}

void port_exit(int status) {
  (void)status;
  for (;;) __asm volatile("wfi");
}

/* What CFSR says (Armv7-M ARM, B3.2.15): a byte for the memory protection, one alike for the bus, and a half
 * for usage. */
static void write_cause(uint32_t exception, uint32_t cfsr) {
  static const char *const accesses[] = {"instruction fetch", "data access", "late data access",
                                         "unstacking",        "stacking",    "lazy stacking"};
  static const char *const usages[] = {"undefined instruction",
                                       "invalid state",
                                       "invalid return",
                                       "no coprocessor (FPU off or absent)",
                                       "stack overflow",
                                       0,
                                       0,
                                       0,
                                       "unaligned access",
                                       "division by zero"};
  const uint32_t access = (cfsr | cfsr >> 8) & 63, usage = cfsr >> 16;
  if (access) write_text(cfsr & 63 ? "memory protection: " : "bus fault: ");
  for (uint32_t i = 0; i < 10; i++) {
    const char *text = access ? i < 6 ? accesses[i] : 0 : usages[i];
    if (text && (access ? access : usage) >> i & 1) {
      write_text(text);
      return;
    }
  }
  write_text(exception == 3 ? "hard fault" : "unexpected exception");
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
  write_fault();
  if (at < bottom || below > 0xFFFF0000u)
    write_text("stack overflow");
  else
    write_cause(exception & 0x1FF, cfsr);
  write_text("\"");
  write_hex("exception", exception & 0x1FF);
  write_hex("sp", (uint32_t)at);
  for (int i = 0; readable && i < 8; i++) write_hex(names[i], frame[i]);
  write_hex("cfsr", cfsr);
  write_hex("hfsr", SCB_HFSR);
  if (cfsr & 0x8080u) write_hex("address", cfsr & 0x80u ? SCB_MMFAR : SCB_BFAR);
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

void cortexm_systick(void) __attribute__((weak, alias("cortexm_fault")));
