/* SPDX-License-Identifier: Apache-2.0 */
/* The registers this port touches, by the names and offsets of Nordic's nRF52840 product specification. Tasks and
 * events are registers: writing 1 starts a task, an event reads 1 until 0 is written to it. */
#ifndef TINYFLOW_NRF52_REGISTERS_H
#define TINYFLOW_NRF52_REGISTERS_H

#include <stdint.h>

#if !defined(NRF52840)
#error "firmware/port/nrf52 does not know this chip: board.yaml defines NRF52840"
#endif

enum { HFCLK_HZ = 64000000 }; /* internal oscillator or crystal alike */

/* Clock control (CLOCK), and the software's half of the debug port's protection, which shares its page (APPROTECT). */
#define CLOCK_TASKS_HFCLKSTART 0x40000000u
#define CLOCK_EVENTS_HFCLKSTARTED 0x40000100u
#define APPROTECT_DISABLE 0x40000558u
#define UICR_APPROTECT 0x10001208u

/* Non-volatile memory controller (NVMC). */
#define NVMC_ICACHECNF 0x4001E540u
#define NVMC_ICACHECNF_CACHEEN (1u << 0)

/* Port 0 (GPIO): TX_PIN and RX_PIN are wired to the debugger of the DK. */
enum { TX_PIN = 6, RX_PIN = 8 };
#define P0_OUTSET 0x50000508u
#define P0_PIN_CNF(pin) (0x50000700u + 4u * (pin))
#define PIN_CNF_OUTPUT 3u         /* DIR: output; INPUT: disconnected */
#define PIN_CNF_INPUT_PULLUP 0xCu /* DIR: input; INPUT: connected; PULL: up */

/* UART with EasyDMA (UARTE0). */
#define UARTE0_TASKS_STARTRX 0x40002000u
#define UARTE0_TASKS_STARTTX 0x40002008u
#define UARTE0_EVENTS_ENDRX 0x40002110u
#define UARTE0_EVENTS_ENDTX 0x40002120u
#define UARTE0_EVENTS_ERROR 0x40002124u
#define UARTE0_EVENTS_RXSTARTED 0x4000214Cu
#define UARTE0_ERRORSRC 0x40002480u /* written back to clear */
#define UARTE0_ERRORSRC_OVERRUN (1u << 0)
#define UARTE0_ENABLE 0x40002500u
#define UARTE0_ENABLE_ENABLED 8u
#define UARTE0_PSEL_TXD 0x4000250Cu
#define UARTE0_PSEL_RXD 0x40002514u
#define UARTE0_BAUDRATE 0x40002524u
#define UARTE0_RXD_PTR 0x40002534u
#define UARTE0_RXD_MAXCNT 0x40002538u
#define UARTE0_TXD_PTR 0x40002544u
#define UARTE0_TXD_MAXCNT 0x40002548u
#define UARTE0_CONFIG 0x4000256Cu /* 0: no parity, one stop bit, no flow control */

#endif
