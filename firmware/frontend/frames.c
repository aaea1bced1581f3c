/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of clips and streams, whichever front end computes them. */
#include <string.h>

#include "frontend.h"

void frontend_frame(const int16_t *samples, int8_t *features) {
  for (int step = 0; step < FRONTEND_STEPS; step++) frontend_step(step, samples, features);
}

size_t frontend_clip(const int16_t *samples, size_t count, int8_t *features) {
  size_t frames = 0;
  for (; count >= FRONTEND_WINDOW; frames++, features += FRONTEND_FEATURES) {
    frontend_frame(samples, features);
    samples += FRONTEND_HOP;
    count -= FRONTEND_HOP;
  }
  return frames;
}

/* The last samples, in a ring: `next` is the place of the oldest, and where the next one goes. */
static int16_t ring[FRONTEND_WINDOW];
static size_t next, taken; /* taken: since the last frame, or of the first */
static size_t wanted = FRONTEND_WINDOW;

void frontend_reset(void) {
  next = taken = 0;
  wanted = FRONTEND_WINDOW;
}

/* Two samples in one word, wherever they lie. */
static void copy(const int16_t *from, int16_t *to, size_t count) {
  for (; count >= 2; count -= 2, from += 2, to += 2) memcpy(to, from, 2 * sizeof *to);
  if (count) *to = *from;
}

size_t frontend_push(const int16_t *samples, size_t count, int8_t *features) {
  size_t frames = 0;
  while (count > 0) {
    size_t part = wanted - taken < FRONTEND_WINDOW - next ? wanted - taken : FRONTEND_WINDOW - next;
    if (part > count) part = count;
    copy(samples, ring + next, part);
    samples += part;
    count -= part;
    taken += part;
    next += part;
    if (next == FRONTEND_WINDOW) next = 0;
    if (taken < wanted) continue;
    frontend_begin(ring + next, FRONTEND_WINDOW - next, ring);
    for (int step = 1; step < FRONTEND_STEPS; step++) frontend_step(step, samples, features);
    features += FRONTEND_FEATURES;
    frames++;
    taken = 0;
    wanted = FRONTEND_HOP;
  }
  return frames;
}
