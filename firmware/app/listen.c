/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of continuous recognition (firmware/listen), from the console or from the board's own microphone. */
#include "app_config.h"

#if TINYFLOW_LISTEN

#include <string.h>

#include "commands.h"
#include "counting.h"
#include "frontend_config.h"
#include "listen.h"
#include "model.h"
#include "port.h"
#include "reply.h"
#if TINYFLOW_MICROPHONE
#include "microphone.h"
#endif

enum { PIECE = 80 }; /* samples on the stack */

static uint32_t expected; /* offset of the next byte from the console */
static uint64_t taken;    /* samples */
static uint32_t lost, runs;
static uint64_t frontend_ticks, network_ticks, detector_ticks;
static int microphone_on;

static void begin(void) {
  expected = lost = runs = 0;
  taken = frontend_ticks = network_ticks = detector_ticks = 0;
  microphone_on = 0;
}

static void write_word(const listen_word *word) {
  reply_begin("event", "heard");
  reply_string("word", listen_words[word->label]);
  reply_number("label", word->label);
  reply_number("score", word->score);
  reply_ticks("sample", word->sample + lost);
  reply_end();
}

static void run_network(void) {
  listen_word word;
  uint64_t start = counting_begin();
  listen_input(model_input());
  detector_ticks += counting_end(start);
  start = counting_begin();
  model_invoke();
  network_ticks += counting_end(start);
  start = counting_begin();
  const int heard = listen_output(model_output(), &word);
  detector_ticks += counting_end(start);
  runs++;
  if (heard) write_word(&word);
}

static void take(const int16_t *samples, size_t count) {
  taken += count;
  while (count) {
    const uint64_t start = counting_begin();
    const size_t part = listen_samples(samples, count);
    frontend_ticks += counting_end(start);
    samples += part;
    count -= part;
    if (listen_due()) run_network();
  }
}

static void answer(const char *command) {
  reply_ok(command);
  reply_ticks("samples", taken + lost);
  reply_number("lost", lost);
  reply_number("frames", listen_frames());
  reply_number("runs", runs);
  reply_ticks("frontend_ticks", frontend_ticks);
  reply_ticks("network_ticks", network_ticks);
  reply_ticks("detector_ticks", detector_ticks);
  reply_end();
}

void command_listen(const request *parsed) {
  listen_settings settings = listen_defaults;
  const struct {
    const char *key;
    uint16_t *value;
  } fields[] = {{"every", &settings.every},
                {"average", &settings.average},
                {"threshold", &settings.threshold},
                {"refractory", &settings.refractory}};
  uint32_t value;
  int fits = 1;
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
    if (!request_number(parsed, fields[i].key, &value)) continue;
    fits &= value <= UINT16_MAX;
    *fields[i].value = (uint16_t)value;
  }
  if (!fits || !listen_begin(&settings)) {
    reply_error("range", "every 1.., average 1..most, threshold 1..256, refractory 0..65535");
    return;
  }
  begin();
  reply_ok("listen");
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) reply_number(fields[i].key, *fields[i].value);
  reply_number("most", LISTEN_AVERAGE_MOST);
  reply_number("microphone", TINYFLOW_MICROPHONE);
  reply_end();
}

void command_stream(const request *parsed) {
  uint32_t offset, size;
  const uint8_t *data = command_bulk(parsed, &offset, &size);
  if (!data) return;
  if (size % 2) {
    reply_error("size", "half a sample");
    return;
  }
  if (offset == expected) {
    expected += size;
    for (size_t part; size; data += part, size -= (uint32_t)part) {
      int16_t samples[PIECE];
      part = size < sizeof samples ? size : sizeof samples;
      memcpy(samples, data, part);
      take(samples, part / 2);
    }
  } else if (offset + size != expected) { /* the last line once more is harmless: its answer was lost */
    reply_error("offset", "not the next piece of audio");
    return;
  }
  answer("stream");
}

#if TINYFLOW_MICROPHONE

void command_microphone(const request *parsed) {
  enum { IDLE = 20 }; /* waits of 100 ms at most */
  uint32_t seconds;
  if (!request_number(parsed, "seconds", &seconds)) {
    reply_error("field", "wanted: seconds, 0 for no end");
    return;
  }
  const char *reason = microphone_on ? NULL : microphone_start();
  if (reason) {
    reply_error("microphone", reason);
    return;
  }
  microphone_on = 1;
  const uint64_t end = taken + (uint64_t)seconds * FRONTEND_SAMPLE_RATE;
  for (int idle = 0; !seconds || taken < end;) {
    int16_t samples[PIECE];
    const size_t count = microphone_read(samples, PIECE);
    lost = microphone_lost();
    if (count) {
      take(samples, count);
      idle = 0;
    } else if (idle++ < IDLE) {
      microphone_wait();
    } else {
      reply_error("microphone", "it gives no samples");
      return;
    }
  }
  answer("microphone");
}

#endif

#else

typedef int listen_is_compiled_out;

#endif
