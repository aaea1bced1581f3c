/* SPDX-License-Identifier: Apache-2.0 */
#include "app_config.h"

#if TINYFLOW_FRONTEND

#include <string.h>

#include "counting.h"
#include "frontend.h"
#include "frontend_config.h"
#include "model.h"
#include "model_config.h"
#include "stream.h"

static int16_t window[FRONTEND_WINDOW];
static size_t filled; /* bytes of window */
static uint32_t frames;
static uint64_t ticks;

void stream_reset(void) {
  filled = 0;
  frames = 0;
  ticks = 0;
}

static void take_frame(void) {
  if (frames < MODEL_INPUT_BYTES / FRONTEND_FEATURES) {
    int8_t *row = model_input() + frames * FRONTEND_FEATURES;
    uint64_t begin = counting_begin();
    frontend_frame(window, row);
    ticks += counting_end(begin);
    frames++;
  }
  /* by hand: memmove is not linked */
  for (size_t i = 0; i + FRONTEND_HOP < FRONTEND_WINDOW; i++) window[i] = window[i + FRONTEND_HOP];
  filled = (FRONTEND_WINDOW - FRONTEND_HOP) * sizeof window[0];
}

void stream_samples(const uint8_t *data, size_t bytes) {
  while (bytes) {
    size_t take = sizeof window - filled < bytes ? sizeof window - filled : bytes;
    memcpy((uint8_t *)window + filled, data, take);
    filled += take;
    data += take;
    bytes -= take;
    if (filled == sizeof window) take_frame();
  }
}

uint32_t stream_frames(void) { return frames; }

uint64_t stream_ticks(void) { return ticks; }

const int16_t *stream_window(void) { return window; }

#else

typedef int stream_is_compiled_out;

#endif
