/* SPDX-License-Identifier: Apache-2.0 */
/* Audio as it arrives: samples to frames to rows of the model's input, holding one window of samples. */
#ifndef TINYFLOW_STREAM_H
#define TINYFLOW_STREAM_H

#include <stddef.h>
#include <stdint.h>

/* Forgets everything heard. */
void stream_reset(void);

/* Takes `bytes` of little-endian 16-bit samples; every full window becomes the next row of model_input.
 * Rows beyond the model's input are dropped. */
void stream_samples(const uint8_t *data, size_t bytes);

uint32_t stream_frames(void); /* rows written since stream_reset */
uint64_t stream_ticks(void);  /* counted inside frontend_frame since stream_reset */

/* The samples of the last window (the newest hop of it may be of the window before). */
const int16_t *stream_window(void);

#endif
