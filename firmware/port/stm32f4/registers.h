/* SPDX-License-Identifier: Apache-2.0 */
/* The registers this port touches, by the names and offsets of RM0090 (STM32F405, F407, F415, F417), and the chip's
 * numbers. */
#ifndef TINYFLOW_STM32F4_REGISTERS_H
#define TINYFLOW_STM32F4_REGISTERS_H

#include <stdint.h>

#if defined(STM32F407)
/* 168 MHz = HSI / PLL_M * PLL_N / PLL_P: 2 MHz into the PLL (1 to 2), VCO 336 MHz (100 to 432); PLL_Q for USB, unused.
 * Five wait states at 2.7 to 3.6 V; APB1 takes 42 MHz, APB2 84 MHz. */
enum { HSI_HZ = 16000000, PLL_M = 8, PLL_N = 168, PLL_P = 2, PLL_Q = 7, FLASH_WAIT_STATES = 5, APB1_DIVIDER = 4 };
#else
#error "firmware/port/stm32f4 does not know this chip: board.yaml defines STM32F407"
#endif

enum { SYSCLK_HZ = HSI_HZ / PLL_M * PLL_N / PLL_P, PCLK1_HZ = SYSCLK_HZ / APB1_DIVIDER };

/* Power control (RM0090, PWR registers). */
#define PWR_CR 0x40007000u
#define PWR_CR_VOS_SCALE1 (1u << 14)
#define PWR_CSR 0x40007004u
#define PWR_CSR_VOSRDY (1u << 14)

/* Port A (GPIO registers). */
#define GPIOA_MODER 0x40020000u /* two bits a pin, 2: alternate function */
#define GPIOA_PUPDR 0x4002000Cu /* two bits a pin, 1: pull-up */
#define GPIOA_AFRL 0x40020020u  /* four bits a pin, pins 0 to 7 */

/* Reset and clock control (RCC registers). */
#define RCC_CR 0x40023800u
#define RCC_CR_HSION (1u << 0)
#define RCC_CR_HSIRDY (1u << 1)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_PLLCFGR 0x40023804u
#define RCC_PLLCFGR_PLLN_SHIFT 6 /* PLLM is at 0 */
#define RCC_PLLCFGR_PLLP_SHIFT 16 /* holds P / 2 - 1 */
#define RCC_PLLCFGR_PLLQ_SHIFT 24 /* PLLSRC, bit 22, is 0: HSI */
#define RCC_CFGR 0x40023808u
#define RCC_CFGR_SW_PLL 2u /* HSI is 0 */
#define RCC_CFGR_SWS_MASK (3u << 2)
#define RCC_CFGR_SWS_HSI (0u << 2)
#define RCC_CFGR_SWS_PLL (2u << 2)
#define RCC_CFGR_PPRE1_DIV4 (5u << 10)
#define RCC_CFGR_PPRE2_DIV2 (4u << 13)
#define RCC_AHB1ENR 0x40023830u
#define RCC_AHB1ENR_GPIOAEN (1u << 0)
#define RCC_APB1ENR 0x40023840u
#define RCC_APB1ENR_USART2EN (1u << 17)
#define RCC_APB1ENR_PWREN (1u << 28)

/* Flash interface (FLASH registers). */
#define FLASH_ACR 0x40023C00u
#define FLASH_ACR_LATENCY_MASK 7u
#define FLASH_ACR_PRFTEN (1u << 8)
#define FLASH_ACR_ICEN (1u << 9)
#define FLASH_ACR_DCEN (1u << 10)

/* USART2 (USART registers). */
#define USART2_SR 0x40004400u
#define USART_SR_FE (1u << 1)
#define USART_SR_NF (1u << 2)
#define USART_SR_ORE (1u << 3)
#define USART_SR_RXNE (1u << 5)
#define USART_SR_TXE (1u << 7)
#define USART2_DR 0x40004404u
#define USART2_BRR 0x40004408u
#define USART2_CR1 0x4000440Cu
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_UE (1u << 13)

/* Debug support (DBGMCU registers). */
#define DBGMCU_IDCODE 0xE0042000u
#define DBGMCU_IDCODE_DEV_ID_MASK 0xFFFu
#define DBGMCU_IDCODE_DEV_ID_F407 0x413u

#endif
