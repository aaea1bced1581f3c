/* SPDX-License-Identifier: Apache-2.0 */
/* Continuous recognition: samples in, words out, in integers alone. A hop of samples costs one frame of the front end;
 * every few hops the network answers for the newest rows; its posteriors are averaged over the last answers, and a word
 * whose average reaches the threshold is heard, once. Calls neither network nor clock: the caller does, in this order:
 *
 *   listen_begin(&listen_defaults);
 *   while (count) {
 *     size_t taken = listen_samples(samples, count);
 *     samples += taken, count -= taken;
 *     if (!listen_due()) continue;
 *     listen_input(model_input());
 *     model_invoke();
 *     if (listen_output(model_output(), &word)) ... listen_words[word.label] ...
 *   }
 *
 * listen_config.h and listen_tables.c are generated (tinyflow/deploy/detector.py, which has the same arithmetic in
 * Python). */
#ifndef TINYFLOW_LISTEN_H
#define TINYFLOW_LISTEN_H

#include <stddef.h>
#include <stdint.h>

#include "listen_config.h"

typedef struct {
  uint16_t every;      /* hops from one run of the network to the next, 1 or more */
  uint16_t average;    /* runs whose posteriors are averaged, 1 to LISTEN_AVERAGE_MOST */
  uint16_t threshold;  /* of the averaged posterior, in 1/256: 1 to 256 */
  uint16_t refractory; /* hops after a word in which none is heard */
} listen_settings;

typedef struct {
  uint32_t label;
  uint32_t score;  /* the averaged posterior in 1/256, rounded down */
  uint64_t sample; /* samples from listen_begin to the end of the newest frame */
} listen_word;

extern const listen_settings listen_defaults;            /* of the recipe */
extern const char *const listen_words[LISTEN_LABELS];    /* names of the labels */
extern const uint8_t listen_counts[LISTEN_LABELS]; /* 1: a word to be heard; 0: silence, unknown and their like */
extern const uint16_t listen_powers[LISTEN_POWERS]; /* 65535 exp(-i * scale of the output), until it is 0 */

/* Forgets what was heard. Returns 0, and does nothing, for settings outside their ranges. */
int listen_begin(const listen_settings *settings);

/* Takes some of `count` samples, so that at most one frame is completed. Returns how many. */
size_t listen_samples(const int16_t *samples, size_t count);

/* Whether the samples taken last completed a frame with which the network is to be run. */
int listen_due(void);

/* The newest rows, oldest first, into the network's input (which the network consumes: the rows stay here). */
void listen_input(int8_t *input);

/* Takes the network's answer. Returns 1 when that makes a word heard, and which. */
int listen_output(const int8_t *output, listen_word *word);

uint32_t listen_frames(void); /* computed since listen_begin */

#endif
