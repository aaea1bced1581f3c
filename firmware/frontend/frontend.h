/* SPDX-License-Identifier: Apache-2.0 */
/* MFCC front end, frame by frame, from 16-bit samples to the network's int8 features.
 * frontend_config.h, generated, has FRONTEND_SAMPLE_RATE, FRONTEND_WINDOW, FRONTEND_HOP, FRONTEND_FFT, FRONTEND_MELS, FRONTEND_MFCC. */
#ifndef TINYFLOW_FRONTEND_H
#define TINYFLOW_FRONTEND_H

#include <stddef.h>
#include <stdint.h>

/* One frame: FRONTEND_WINDOW samples to FRONTEND_MFCC features. */
void frontend_frame(const int16_t *samples, int8_t *features);

/* A whole clip: returns the number of frames written, FRONTEND_MFCC features each. */
size_t frontend_clip(const int16_t *samples, size_t count, int8_t *features);

/* The steps of frontend_frame, in order, on static buffers; for profiles. */
enum { FRONTEND_STEPS = 6 };
extern const char *const frontend_step_names[FRONTEND_STEPS]; /* window, fft, mel, log, dct, quantize */
void frontend_step(int step, const int16_t *samples, int8_t *features);

#endif
