/* SPDX-License-Identifier: Apache-2.0 */
/* Samples to the network's input: a whole clip, or a stream of which the newest frames are kept. */
#include <string.h>

#include "frontend.h"
#include "tinyflow.h"

int tinyflow_classify(const int16_t *samples) {
  frontend_clip(samples, TINYFLOW_CLIP_SAMPLES, tinyflow_input());
  tinyflow_invoke();
  return tinyflow_best();
}

static int8_t frames[TINYFLOW_FRAMES][TINYFLOW_FEATURES]; /* a ring, for the network consumes its own input */
static int next, known;                                  /* row to write; rows written, TINYFLOW_FRAMES at most */

void tinyflow_stream_reset(void) {
  frontend_reset();
  next = known = 0;
}

int tinyflow_stream_push(const int16_t *samples, size_t count) {
  int made = 0;
  while (count) {
    const size_t part = count < TINYFLOW_HOP ? count : TINYFLOW_HOP; /* completes one frame at most */
    if (frontend_push(samples, part, frames[next])) {
      next = next + 1 < TINYFLOW_FRAMES ? next + 1 : 0;
      known += known < TINYFLOW_FRAMES;
      made++;
    }
    samples += part;
    count -= part;
  }
  return made;
}

int tinyflow_stream_classify(void) {
  if (known < TINYFLOW_FRAMES) return -1;
  /* bytes from the oldest row to the ring's end */
  const size_t older = (size_t)(TINYFLOW_FRAMES - next) * TINYFLOW_FEATURES;
  memcpy(tinyflow_input(), frames[next], older);
  memcpy(tinyflow_input() + older, frames[0], (size_t)next * TINYFLOW_FEATURES);
  tinyflow_invoke();
  return tinyflow_best();
}
