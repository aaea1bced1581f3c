/* SPDX-License-Identifier: Apache-2.0 */
/* The registers this port touches, by the names and offsets of RM0432 (STM32L4+) and RM0351 (STM32L4), and the chips'
 * numbers. Another STM32L4 is another block of chip numbers; the registers are shared. */
#ifndef TINYFLOW_STM32L4_REGISTERS_H
#define TINYFLOW_STM32L4_REGISTERS_H

#include "chip.h"

#if defined(STM32L4R5)
/* 120 MHz = HSI16 / PLL_M * PLL_N / PLL_R: 8 MHz into the PLL (2.66 to 16), VCO 240 MHz (64 to 344, range 1 boost). */
enum { HSI16_HZ = 16000000, PLL_M = 2, PLL_N = 30, PLL_R = 2, FLASH_WAIT_STATES = 5 };
#define STM32L4_BOOST 1 /* range 1 boost mode: needed above 80 MHz, only STM32L4+ has it */

/* Console, wired to the ST-LINK: LPUART1 transmits on PG7, receives on PG8, alternate function 8 (data
 * sheet DS12023). */
#define CONSOLE "LPUART1"
#define UART 0x40008000u
#define UART_CLOCK_ENABLE 0x4002105Cu /* RCC_APB1ENR2 */
enum { UART_CLOCK_BIT = 0, UART_SEL_SHIFT = 10, TX_PIN = 7, RX_PIN = 8, PIN_FUNCTION = 8 };
#define PIN_PORT GPIOG
#define PIN_PORT_ENABLE (1u << 6) /* GPIOGEN */
#define PIN_PORT_ON_VDDIO2 1
/* LPUART baud rate generation: LPUARTDIV = 256 f / baud, 0x300 to 0xFFFFF; a FIFO of eight bytes each way. */
#define UART_BRR_FACTOR 256
#define UART_BRR_LEAST 0x300
#define UART_BRR_MOST 0xFFFFF
#define UART_CR1_FIFOEN (1u << 29)

#elif defined(STM32L475)
/* 80 MHz: 8 MHz into the PLL (4 to 16), VCO 160 MHz (64 to 344). No boost mode; 4 wait states above 64 MHz in
 * range 1. */
enum { HSI16_HZ = 16000000, PLL_M = 2, PLL_N = 20, PLL_R = 2, FLASH_WAIT_STATES = 4 };

/* Console, wired to the ST-LINK: USART1 transmits on PB6, receives on PB7, alternate function 7 (data
 * sheet DS10969). */
#define CONSOLE "USART1"
#define UART 0x40013800u
#define UART_CLOCK_ENABLE 0x40021060u /* RCC_APB2ENR */
enum { UART_CLOCK_BIT = 14, UART_SEL_SHIFT = 0, TX_PIN = 6, RX_PIN = 7, PIN_FUNCTION = 7 };
#define PIN_PORT GPIOB
#define PIN_PORT_ENABLE (1u << 1) /* GPIOBEN */
/* USART baud rate generation, oversampling by 16: USARTDIV = f / baud, at least 16; no FIFO, that bit is reserved. */
#define UART_BRR_FACTOR 1
#define UART_BRR_LEAST 16
#define UART_BRR_MOST 0xFFFF
#define UART_CR1_FIFOEN 0u

#else
#error "firmware/port/stm32l4 does not know this chip: board.yaml defines STM32L4R5 or STM32L475"
#endif

enum { SYSCLK_HZ = HSI16_HZ / PLL_M * PLL_N / PLL_R };

/* Power control (PWR registers). */
#define PWR_CR1 0x40007000u
#define PWR_CR1_VOS_MASK (3u << 9)
#define PWR_CR1_VOS_RANGE1 (1u << 9)
#define PWR_CR2 0x40007004u
#define PWR_CR2_IOSV (1u << 9) /* VDDIO2 is valid: without it PG2..PG15 are dead */
#define PWR_SR2 0x40007014u
#define PWR_SR2_VOSF (1u << 10)
#define PWR_CR5 0x40007080u
#define PWR_CR5_R1MODE (1u << 8) /* 1: range 1 normal, 0: range 1 boost */

/* Reset and clock control (RCC registers). */
#define RCC_CR 0x40021000u
#define RCC_CR_HSION (1u << 8)
#define RCC_CR_HSIRDY (1u << 10)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_CFGR 0x40021008u
#define RCC_CFGR_SW_MASK 3u
#define RCC_CFGR_SW_HSI16 1u
#define RCC_CFGR_SW_PLL 3u
#define RCC_CFGR_SWS_SHIFT 2
#define RCC_CFGR_HPRE_MASK (15u << 4)
#define RCC_CFGR_HPRE_DIV2 (8u << 4)
#define RCC_PLLCFGR 0x4002100Cu
#define RCC_PLLCFGR_PLLSRC_HSI16 2u
#define RCC_PLLCFGR_PLLM_SHIFT 4 /* holds M - 1 */
#define RCC_PLLCFGR_PLLN_SHIFT 8
#define RCC_PLLCFGR_PLLREN (1u << 24)
#define RCC_PLLCFGR_PLLR_SHIFT 25 /* holds R / 2 - 1 */
#define RCC_AHB1ENR 0x40021048u
#define RCC_AHB2ENR 0x4002104Cu
#define RCC_APB1ENR1 0x40021058u
#define RCC_APB1ENR1_PWREN (1u << 28)
#define RCC_APB2ENR 0x40021060u
#define RCC_CCIPR 0x40021088u /* two bits a peripheral */
#define RCC_CCIPR_HSI16 2u

/* Flash interface (FLASH registers). */
#define FLASH_ACR 0x40022000u
#define FLASH_ACR_LATENCY_MASK 15u
#define FLASH_ACR_PRFTEN (1u << 8)
#define FLASH_ACR_ICEN (1u << 9)
#define FLASH_ACR_DCEN (1u << 10)

/* Ports (GPIO registers). */
#define GPIOB 0x48000400u
#define GPIOE 0x48001000u
#define GPIOG 0x48001800u
#define GPIO_MODER(port) ((port) + 0x00)            /* two bits a pin, 2: alternate function */
#define GPIO_AFR(port, half) ((port) + 0x20 + 4 * (half)) /* four bits a pin, AFRL: pins 0 to 7, AFRH: 8 to 15 */

/* Gives `pin` of the GPIO port at `port` to its alternate function `function`. */
static inline void connect_pin(uint32_t port, uint32_t pin, uint32_t function) {
  const uint32_t nibble = 4 * (pin % 8);
  change(GPIO_AFR(port, pin / 8), 15u << nibble, function << nibble);
  change(GPIO_MODER(port), 3u << 2 * pin, 2u << 2 * pin);
}

/* The console's UART (USART and LPUART registers: the same offsets and bits). */
#define UART_CR1 (UART + 0x00)
#define UART_CR1_UE (1u << 0)
#define UART_CR1_RE (1u << 2)
#define UART_CR1_TE (1u << 3)
#define UART_BRR (UART + 0x0C)
#define UART_ISR (UART + 0x1C)
#define UART_ISR_FE (1u << 1)
#define UART_ISR_NE (1u << 2)
#define UART_ISR_ORE (1u << 3)
#define UART_ISR_RXNE (1u << 5) /* RXFNE with a FIFO */
#define UART_ISR_TXE (1u << 7)  /* TXFNF with a FIFO */
#define UART_ISR_TEACK (1u << 21)
#define UART_ISR_REACK (1u << 22)
#define UART_ICR (UART + 0x20) /* write 1 to clear, same bits as FE, NE, ORE in ISR */
#define UART_RDR (UART + 0x24)
#define UART_TDR (UART + 0x28)

/* The core's SysTick, Armv7-M Architecture Reference Manual, B3.3. */
#define SYST_CSR 0xE000E010u
#define SYST_CSR_ENABLE (1u << 0)
#define SYST_CSR_TICKINT (1u << 1)
#define SYST_CSR_CLKSOURCE (1u << 2) /* the core's clock */
#define SYST_RVR 0xE000E014u
#define SYST_CVR 0xE000E018u /* counts down, 24 bits */

#endif
