/* SPDX-License-Identifier: Apache-2.0 */
/* The registers this port touches, by the names and offsets of RM0432 (STM32L4+), and the chip's numbers.
 * Another STM32L4 is another block of chip numbers; the registers are shared. */
#ifndef TINYFLOW_STM32L4_REGISTERS_H
#define TINYFLOW_STM32L4_REGISTERS_H

#include <stdint.h>

#if defined(STM32L4R5)
/* 120 MHz = HSI16 / PLL_M * PLL_N / PLL_R: 8 MHz into the PLL (2.66 to 16), VCO 240 MHz (64 to 344, range 1 boost). */
enum { HSI16_HZ = 16000000, PLL_M = 2, PLL_N = 30, PLL_R = 2, FLASH_WAIT_STATES = 5 };
#define STM32L4_BOOST 1 /* range 1 boost mode: needed above 80 MHz, only STM32L4+ has it */
#else
#error "firmware/port/stm32l4 does not know this chip: board.yaml defines STM32L4R5"
#endif

enum { SYSCLK_HZ = HSI16_HZ / PLL_M * PLL_N / PLL_R };

/* Power control (RM0432, PWR registers). */
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
#define RCC_AHB2ENR 0x4002104Cu
#define RCC_AHB2ENR_GPIOGEN (1u << 6)
#define RCC_APB1ENR1 0x40021058u
#define RCC_APB1ENR1_PWREN (1u << 28)
#define RCC_APB1ENR2 0x4002105Cu
#define RCC_APB1ENR2_LPUART1EN (1u << 0)
#define RCC_CCIPR 0x40021088u
#define RCC_CCIPR_LPUART1SEL_MASK (3u << 10)
#define RCC_CCIPR_LPUART1SEL_HSI16 (2u << 10)

/* Flash interface (FLASH registers). */
#define FLASH_ACR 0x40022000u
#define FLASH_ACR_LATENCY_MASK 15u
#define FLASH_ACR_PRFTEN (1u << 8)
#define FLASH_ACR_ICEN (1u << 9)
#define FLASH_ACR_DCEN (1u << 10)

/* Port G (GPIO registers). */
#define GPIOG_MODER 0x48001800u /* two bits a pin, 2: alternate function */
#define GPIOG_AFRL 0x48001820u  /* four bits a pin, pins 0 to 7 */
#define GPIOG_AFRH 0x48001824u  /* pins 8 to 15 */

/* LPUART1 (LPUART registers). */
#define LPUART1_CR1 0x40008000u
#define LPUART_CR1_UE (1u << 0)
#define LPUART_CR1_RE (1u << 2)
#define LPUART_CR1_TE (1u << 3)
#define LPUART_CR1_FIFOEN (1u << 29) /* eight bytes each way */
#define LPUART1_BRR 0x4000800Cu
#define LPUART1_ISR 0x4000801Cu
#define LPUART_ISR_FE (1u << 1)
#define LPUART_ISR_NE (1u << 2)
#define LPUART_ISR_ORE (1u << 3)
#define LPUART_ISR_RXFNE (1u << 5)
#define LPUART_ISR_TXFNF (1u << 7)
#define LPUART_ISR_TEACK (1u << 21)
#define LPUART_ISR_REACK (1u << 22)
#define LPUART1_ICR 0x40008020u /* write 1 to clear, same bits as FE, NE, ORE in ISR */
#define LPUART1_RDR 0x40008024u
#define LPUART1_TDR 0x40008028u

/* The core's own, Armv7-M Architecture Reference Manual, C1 (debug). */
#define DEMCR 0xE000EDFCu
#define DEMCR_TRCENA (1u << 24)
#define DWT_CTRL 0xE0001000u
#define DWT_CTRL_CYCCNTENA (1u << 0)
#define DWT_CYCCNT 0xE0001004u

#endif
