/* SPDX-License-Identifier: Apache-2.0 */
/* The network of this folder behind one small C API. Not re-entrant: one network, one static arena, no heap.
 * tinyflow_config.h has its sizes and what its numbers mean. */
#ifndef TINYFLOW_H
#define TINYFLOW_H

#include <stddef.h>
#include <stdint.h>

#include "tinyflow_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Once, before all else. */
void tinyflow_init(void);

/* Where the TINYFLOW_INPUT_BYTES int8 of the input go, valid until tinyflow_invoke, which overwrites them. */
int8_t *tinyflow_input(void);

/* Runs the network. Returns tinyflow_output(). */
const int8_t *tinyflow_invoke(void);

/* The TINYFLOW_OUTPUT_BYTES int8 of the last answer, valid until the next one. */
const int8_t *tinyflow_output(void);

/* Index of the largest output; the first of equals. */
int tinyflow_best(void);

/* Output `index` as the real number it stands for: TINYFLOW_OUTPUT_SCALE * (q - TINYFLOW_OUTPUT_ZERO_POINT). */
float tinyflow_score(int index);

/* The name of class `index`, or "" where the model has none. */
const char *tinyflow_label(int index);

#if TINYFLOW_FRONTEND

/* A clip of TINYFLOW_CLIP_SAMPLES samples (16 bits, mono, TINYFLOW_SAMPLE_RATE hertz) to features to the answer.
 * Returns tinyflow_best(). */
int tinyflow_classify(const int16_t *samples);

/* Streaming: forgets what was heard. */
void tinyflow_stream_reset(void);

/* Takes the next `count` samples, any number. A frame of features is computed as soon as its samples are there: every
 * TINYFLOW_HOP samples one. Returns how many frames that made. */
int tinyflow_stream_push(const int16_t *samples, size_t count);

/* Classifies the newest TINYFLOW_FRAMES frames, the last TINYFLOW_CLIP_SAMPLES samples if those were whole hops: equal,
 * bit for bit, to tinyflow_classify on them. Returns tinyflow_best(), or -1 until that many frames were heard. */
int tinyflow_stream_classify(void);

#endif

#ifdef __cplusplus
}
#endif

#endif
