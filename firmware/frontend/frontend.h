/* SPDX-License-Identifier: Apache-2.0 */
/* A front end, frame by frame, from 16-bit samples to the network's int8 features. frontend_config.h, generated, has
 * FRONTEND_KIND, FRONTEND_SAMPLE_RATE, FRONTEND_WINDOW, FRONTEND_HOP, FRONTEND_FEATURES, FRONTEND_STEPS. */
#ifndef TINYFLOW_FRONTEND_H
#define TINYFLOW_FRONTEND_H

#include <stddef.h>
#include <stdint.h>

#include "frontend_config.h"

/* One frame: FRONTEND_WINDOW samples to FRONTEND_FEATURES features. */
void frontend_frame(const int16_t *samples, int8_t *features);

/* A whole clip: returns the number of frames written, FRONTEND_FEATURES features each. */
size_t frontend_clip(const int16_t *samples, size_t count, int8_t *features);

/* A stream, in pieces of any length: returns the number of frames that `count` more samples complete, and writes them.
 * Frame by frame equal to frontend_clip on all samples since frontend_reset (or the start), however they are cut.
 * features: at least FRONTEND_FEATURES * (1 + count / FRONTEND_HOP) bytes. */
size_t frontend_push(const int16_t *samples, size_t count, int8_t *features);
void frontend_reset(void);

/* The steps of frontend_frame, in order, on static buffers; for profiles. */
extern const char *const frontend_step_names[FRONTEND_STEPS];
void frontend_step(int step, const int16_t *samples, int8_t *features);

/* Step 0 of a frame in two pieces: its first `count` samples, and the rest. */
void frontend_begin(const int16_t *first, size_t count, const int16_t *rest);

#endif
