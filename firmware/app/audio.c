/* SPDX-License-Identifier: Apache-2.0 */
/* Commands over audio: samples in, and what the front end costs. */
#include "app_config.h"

#if TINYFLOW_FRONTEND

#include "commands.h"
#include "counting.h"
#include "frontend.h"
#include "frontend_config.h"
#include "port.h"
#include "reply.h"
#include "stream.h"

void command_audio(const request *parsed) {
  static uint32_t expected; /* offset of the next byte */
  uint32_t offset, size;
  const uint8_t *data = command_bulk(parsed, &offset, &size);
  if (!data) return;
  if (offset == 0) {
    stream_reset();
    expected = 0;
  }
  if (offset == expected) {
    stream_samples(data, size);
    expected += size;
  } else if (offset + size != expected) { /* the last line once more is harmless: its answer was lost */
    reply_error("offset", "not the next piece of audio");
    return;
  }
  reply_ok("audio");
  reply_number("frames", stream_frames());
  reply_ticks("ticks", stream_ticks());
  reply_end();
}

void command_frontend(const request *parsed) {
  (void)parsed;
  int8_t features[FRONTEND_FEATURES];
  port_stack_paint();
  uint64_t begin = counting_begin();
  frontend_frame(stream_window(), features);
  uint64_t ticks = counting_end(begin);
  size_t stack = port_stack_used();
  for (int step = 0; step < FRONTEND_STEPS; step++) {
    begin = counting_begin();
    frontend_step(step, stream_window(), features);
    uint64_t step_ticks = counting_end(begin);
    reply_begin("event", "step");
    reply_string("name", frontend_step_names[step]);
    reply_ticks("ticks", step_ticks);
    reply_end();
  }
  reply_ok("frontend");
  reply_ticks("ticks", ticks);
  reply_number("stack", stack);
  reply_end();
}

#else

typedef int audio_is_compiled_out;

#endif
