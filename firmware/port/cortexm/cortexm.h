/* SPDX-License-Identifier: Apache-2.0 */
/* What every Cortex-M port shares: vector table, start-up, faults, the painted stack.
 *
 * cortexm/ implements port_fail, port_exit, port_lock, port_unlock, port_stack_paint and port_stack_used.
 * A port adds port_init, port_read, port_write, port_ticks and port_warning, all by polling: no interrupt but
 * SysTick's is ever taken, and that only by a port that has cortexm_systick.
 * Order at reset: FPU on (before any float), VTOR, .data, .bss, the stack painted, main(); main calls port_init first.
 * The linker script (tinyflow/deploy/image/linker.py) puts the stack at the bottom of RAM, where an overflow cannot
 * reach variables; the memory protection unit (Armv8-M: MSPLIM) makes it a fault. */
#ifndef TINYFLOW_CORTEXM_H
#define TINYFLOW_CORTEXM_H

#include <stdint.h>

/* Symbols of the linker script; only their addresses mean anything. */
extern uint32_t __stack_bottom[], __stack_top[];
extern uint32_t __data_load[], __data_start[], __data_end[];
extern uint32_t __bss_start[], __bss_end[];

/* A memory-mapped 32-bit register. */
#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* System control block (Armv7-M Architecture Reference Manual, B3.2). */
#define SCB_VTOR REGISTER(0xE000ED08)
#define SCB_CCR REGISTER(0xE000ED14)
#define SCB_SHCSR REGISTER(0xE000ED24)
#define SCB_CFSR REGISTER(0xE000ED28)
#define SCB_HFSR REGISTER(0xE000ED2C)
#define SCB_MMFAR REGISTER(0xE000ED34)
#define SCB_BFAR REGISTER(0xE000ED38)

/* Memory protection unit of Armv7-M (B3.5). */
#define MPU_TYPE REGISTER(0xE000ED90)
#define MPU_CTRL REGISTER(0xE000ED94)
#define MPU_RNR REGISTER(0xE000ED98)
#define MPU_RBAR REGISTER(0xE000ED9C)
#define MPU_RASR REGISTER(0xE000EDA0)

/* Vector 0 and the 15 system exceptions. */
extern const uintptr_t vectors[16];

/* After reset, by the vector table. */
void cortexm_reset(void);

/* SysTick's handler: a fault, unless a port has its own. */
void cortexm_systick(void);

#endif
