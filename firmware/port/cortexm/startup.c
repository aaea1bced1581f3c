/* SPDX-License-Identifier: Apache-2.0 */
/* Vector table and the way from reset to main. */
#include "cortexm.h"

#include <stddef.h>

#include "port.h"

int main(void);
void cortexm_fault(void);
void cortexm_start(void);

#define FAULT ((uintptr_t)cortexm_fault)

/* No peripheral interrupt is ever taken (a microphone's wakes the core, no more), so the table ends with the system
 * exceptions. */
__attribute__((section(".vectors"), used)) const uintptr_t vectors[16] = {
    (uintptr_t)__stack_top,
    (uintptr_t)cortexm_reset,
    FAULT, /* NMI */
    FAULT, /* HardFault */
    FAULT, /* MemManage */
    FAULT, /* BusFault */
    FAULT, /* UsageFault */
    FAULT, /* SecureFault (Armv8-M), else reserved */
    0,
    0,
    0,
    FAULT, /* SVCall */
    FAULT, /* DebugMonitor */
    0,
    FAULT, /* PendSV */
    (uintptr_t)cortexm_systick,
};

/* Naked, so that no prologue saves FPU registers before CPACR lets them be touched. */
__attribute__((naked, used)) void cortexm_reset(void) {
  __asm volatile(
      "ldr r0, =__stack_top\n"
      "mov sp, r0\n"
#if defined(__ARM_FP)
      "ldr r0, =0xE000ED88\n" /* CPACR: full access to CP10 and CP11 */
      "ldr r1, [r0]\n"
      "orr r1, r1, #0x00F00000\n"
      "str r1, [r0]\n"
      "dsb\n"
      "isb\n"
#endif
      "b cortexm_start\n");
}

/* What lies below the stack is forbidden: emulators and some buses take a write there in silence. */
static void guard_stack(void) {
#if defined(__ARM_ARCH_8M_MAIN__) || defined(__ARM_ARCH_8_1M_MAIN__)
  __asm volatile("msr msplim, %0" ::"r"(__stack_bottom));
#else
  uint32_t bottom = (uint32_t)(uintptr_t)__stack_bottom;
  uint32_t bits = 27; /* 128 MiB at most; a region is aligned to its size */
  while (bits > 5 && bottom & ((1u << bits) - 1)) bits--;
  if (!(MPU_TYPE & 0xFF00u) || bottom & 31 || bottom < 1u << bits) return;
  MPU_RNR = 0;
  MPU_RBAR = bottom - (1u << bits);
  MPU_RASR = 1u << 28 | (bits - 1) << 1 | 1; /* no access, no execution */
  MPU_CTRL = 5;                              /* elsewhere the default map */
  __asm volatile("dsb\n isb" ::: "memory");
#endif
}

__attribute__((noreturn, used)) void cortexm_start(void) {
  SCB_VTOR = (uint32_t)(uintptr_t)vectors;
  SCB_SHCSR |= 7u << 16; /* MemManage, BusFault and UsageFault speak for themselves */
  SCB_CCR |= 1u << 4;    /* division by zero is a fault */
  for (volatile uint32_t *to = __data_start, *from = __data_load; to < __data_end; to++, from++) *to = *from;
  for (volatile uint32_t *to = __bss_start; to < __bss_end; to++) *to = 0;
  guard_stack();
  port_stack_paint();
  port_exit(main());
}
