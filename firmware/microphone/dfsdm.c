/* SPDX-License-Identifier: Apache-2.0 */
/* A PDM microphone (MP34DT01) on DFSDM1 of an STM32L475, as on b-l475e-iot01a: CKOUT on PE9, data on PE7 (DATIN2),
 * taken at the clock's rising edge: one of the board's two microphones. The other speaks on the same wire at the
 * falling edge.
 *
 * CKOUT = 80 MHz / 40 = 2 MHz (the microphone takes 1 to 3.25), and 2 MHz / 125 = 16 kHz exactly. A sinc filter of
 * order 4 falls by 0.9 dB at 2 kHz, 3.6 dB at 4 kHz and 15.7 dB at 8 kHz. DMA1 channel 4 carries the results round a
 * ring; no handler runs. Sections and registers: RM0351, DFSDM and DMA. Never heard on hardware: docs/boards.md says
 * what that leaves open. */
#include "microphone.h"

#include "chip.h"
#include "frontend_config.h"
#include "port.h"
#include "registers.h"

#ifndef STM32L475
#error "firmware/microphone/dfsdm.c knows the STM32L475 only"
#endif

enum {
  CKOUT_DIVIDER = 40,
  OVERSAMPLING = 125,
  ORDER = 4,
  TICKS = CKOUT_DIVIDER * OVERSAMPLING, /* of the core's clock, a sample */
  /* All ones would be 125^4, 29 bits with its sign. Five bits off make 24, what DFSDM_FLTxRDATAR holds; its upper half
   * is the sample, 29802 at most. */
  SHIFT = 5,
  RING = 4096, /* samples, a power of two: 256 ms */
  GUARD = 64, /* the oldest of a full ring are about to be overwritten */
  SETTLING = 512, /* the microphone takes 10 ms to wake; the last half of these give the first offset */
  SETTLING_POLLS = 2000000,
  GAIN = 8 /* 94 dB of sound pressure are -26 dB of full scale: speech would use few of the 16 bits */
};
_Static_assert(SYSCLK_HZ == FRONTEND_SAMPLE_RATE * TICKS, "dfsdm.c records at 16 kHz, not at this model's rate");
_Static_assert(FRONTEND_HOP <= FRONTEND_SAMPLE_RATE / 10, "microphone_wait sleeps a hop, 100 ms at most");

#define RCC_APB2ENR_DFSDM1EN (1u << 24)
#define RCC_AHB1ENR_DMA1EN (1u << 0)
#define RCC_AHB2ENR_GPIOEEN (1u << 4)

#define DFSDM1 0x40016000u
#define CH0CFGR1 (DFSDM1 + 0x00)
#define CHCFGR1_DFSDMEN (1u << 31)
#define CHCFGR1_CKOUTDIV_SHIFT 16 /* holds the divider - 1; the source is the bus's clock while CKOUTSRC is 0 */
#define CH2CFGR1 (DFSDM1 + 0x40)
#define CHCFGR1_CHEN (1u << 7)
#define CHCFGR1_SPICKSEL_CKOUT (1u << 2) /* and SITP 0: data at CKOUT's rising edge */
#define CH2CFGR2 (DFSDM1 + 0x44)
#define CHCFGR2_DTRBS_SHIFT 3
#define FLT0CR1 (DFSDM1 + 0x100)
#define FLTCR1_DFEN (1u << 0)
#define FLTCR1_RSWSTART (1u << 17)
#define FLTCR1_RCONT (1u << 18)
#define FLTCR1_RDMAEN (1u << 21)
#define FLTCR1_RCH_SHIFT 24
/* a result every OVERSAMPLING clocks; without it the filter would start anew each time */
#define FLTCR1_FAST (1u << 29)
#define FLT0FCR (DFSDM1 + 0x114)
#define FLTFCR_FOSR_SHIFT 16 /* holds the oversampling - 1 */
#define FLTFCR_FORD_SHIFT 29
#define FLT0RDATAR (DFSDM1 + 0x11C)

#define DMA1 0x40020000u
#define DMA_ISR (DMA1 + 0x00)
#define DMA_IFCR (DMA1 + 0x04)
#define DMA_CHANNEL4_FLAGS (15u << 12)
#define DMA_CCR4 (DMA1 + 0x44)
#define DMA_CCR_EN (1u << 0)
#define DMA_CCR_TCIE (1u << 1)
#define DMA_CCR_HTIE (1u << 2)
#define DMA_CCR_CIRC (1u << 5)
#define DMA_CCR_MINC (1u << 7)
#define DMA_CCR_HALFWORDS (5u << 8) /* PSIZE and MSIZE: 16 bits */
#define DMA_CCR_PL_HIGH (2u << 12)
#define DMA_CNDTR4 (DMA1 + 0x48)
#define DMA_CPAR4 (DMA1 + 0x4C)
#define DMA_CMAR4 (DMA1 + 0x50)
#define DMA_CSELR (DMA1 + 0xA8)
#define DMA_CSELR_C4S_MASK (15u << 12) /* request 0 of channel 4: DFSDM1_FLT0 */

#define NVIC_ISER0 0xE000E100u
#define NVIC_ICER0 0xE000E180u
#define NVIC_ICPR0 0xE000E280u
#define DMA1_CHANNEL4 (1u << 14)
#define ICSR 0xE000ED04u
#define ICSR_PENDSTCLR (1u << 25)

static volatile int16_t ring[RING];
/* place in the ring that the DMA writes next; samples behind it that nobody read */
static uint32_t written, unread, lost;
static uint32_t looked; /* port_ticks when that was so */
static int32_t offset; /* of the microphone, in 4096ths */

static uint32_t place(void) { return (RING - read32(DMA_CNDTR4)) % RING; }

/* Where the DMA is by now. Its place tells the samples but for whole rings, and the clock tells those: it stands still
 * only while the core sleeps, a hop at most. (Nobody looks for 53 s, and the clock's 32 bits wrap.) */
static void look(void) {
  const uint32_t now = (uint32_t)port_ticks(), at = place(), passed = (now - looked) / TICKS;
  uint32_t moved = (at - written) % RING;
  if (passed > moved) moved += (passed - moved + RING / 2) / RING * RING;
  looked = now;
  written = at;
  unread += moved;
  if (unread > RING - GUARD) {
    lost += unread - (RING - GUARD);
    unread = RING - GUARD;
  }
}

const char *microphone_start(void) {
  write32(DMA_CCR4, 0);
  enable_clock(RCC_AHB2ENR, RCC_AHB2ENR_GPIOEEN);
  connect_pin(GPIOE, 9, 6);
  connect_pin(GPIOE, 7, 6);

  enable_clock(RCC_APB2ENR, RCC_APB2ENR_DFSDM1EN);
  write32(FLT0CR1, 0);
  write32(CH2CFGR1, 0);
  write32(CH0CFGR1, 0); /* off: only then the divider may change */
  write32(CH0CFGR1, (uint32_t)(CKOUT_DIVIDER - 1) << CHCFGR1_CKOUTDIV_SHIFT);
  write32(CH0CFGR1, CHCFGR1_DFSDMEN | (uint32_t)(CKOUT_DIVIDER - 1) << CHCFGR1_CKOUTDIV_SHIFT);
  write32(CH2CFGR2, (uint32_t)SHIFT << CHCFGR2_DTRBS_SHIFT);
  write32(CH2CFGR1, CHCFGR1_SPICKSEL_CKOUT);
  write32(CH2CFGR1, CHCFGR1_SPICKSEL_CKOUT | CHCFGR1_CHEN);
  write32(FLT0FCR, (uint32_t)ORDER << FLTFCR_FORD_SHIFT | (uint32_t)(OVERSAMPLING - 1) << FLTFCR_FOSR_SHIFT);

  enable_clock(RCC_AHB1ENR, RCC_AHB1ENR_DMA1EN);
  change(DMA_CSELR, DMA_CSELR_C4S_MASK, 0);
  write32(DMA_IFCR, DMA_CHANNEL4_FLAGS);
  write32(DMA_CPAR4, FLT0RDATAR + 2);
  write32(DMA_CMAR4, (uint32_t)(uintptr_t)ring);
  write32(DMA_CNDTR4, RING);
  const uint32_t carry =
      DMA_CCR_PL_HIGH | DMA_CCR_HALFWORDS | DMA_CCR_MINC | DMA_CCR_CIRC | DMA_CCR_HTIE | DMA_CCR_TCIE;
  write32(DMA_CCR4, carry | DMA_CCR_EN);

  const uint32_t filter = 2u << FLTCR1_RCH_SHIFT | FLTCR1_FAST | FLTCR1_RDMAEN | FLTCR1_RCONT;
  write32(FLT0CR1, filter); /* FAST and RDMAEN may change only while the filter is off */
  write32(FLT0CR1, filter | FLTCR1_DFEN);
  write32(FLT0CR1, filter | FLTCR1_DFEN | FLTCR1_RSWSTART);

  for (int i = 0; place() < SETTLING; i++) {
    if (i == SETTLING_POLLS) return "DFSDM1 gives no samples: CNDTR4 of DMA1 stands still";
  }
  offset = 0;
  for (int i = SETTLING / 2; i < SETTLING; i++) offset += ring[i] * (4096 / (SETTLING / 2));
  written = place();
  looked = (uint32_t)port_ticks();
  unread = lost = 0;
  return NULL;
}

/* Without its offset, which the microphone's data sheet leaves open: what is slower than 5 Hz. Louder,
 * and saturated. */
static int16_t sample(int32_t raw) {
  const int32_t centred = raw * 4096 - offset;
  offset += centred / 512;
  const int32_t louder = centred / (4096 / GAIN);
  return (int16_t)(louder > INT16_MAX ? INT16_MAX : louder < INT16_MIN ? INT16_MIN : louder);
}

size_t microphone_read(int16_t *samples, size_t count) {
  look();
  size_t given = 0;
  for (; given < count && unread; given++, unread--) samples[given] = sample(ring[(written - unread) % RING]);
  return given;
}

/* The DMA wakes the core twice a ring, SysTick after a hop; where the port counts with SysTick, it is left alone. */
void microphone_wait(void) {
  look();
  if (unread) return;
  hold_interrupts(1);
  const int free = !(read32(SYST_CSR) & SYST_CSR_ENABLE);
  if (free) {
    write32(SYST_RVR, FRONTEND_HOP * TICKS - 1);
    write32(SYST_CVR, 0);
    write32(SYST_CSR, SYST_CSR_ENABLE | SYST_CSR_TICKINT | SYST_CSR_CLKSOURCE);
  }
  write32(DMA_IFCR, DMA_CHANNEL4_FLAGS);
  write32(NVIC_ICPR0, DMA1_CHANNEL4); /* of the past: they would end the sleep at once */
  write32(NVIC_ISER0, DMA1_CHANNEL4);
  wait_for_interrupt();
  write32(NVIC_ICER0, DMA1_CHANNEL4);
  if (free) {
    write32(SYST_CSR, 0);
    write32(ICSR, ICSR_PENDSTCLR);
  }
  write32(DMA_IFCR, DMA_CHANNEL4_FLAGS);
  write32(NVIC_ICPR0, DMA1_CHANNEL4);
  hold_interrupts(0);
}

uint32_t microphone_lost(void) { return lost; }
