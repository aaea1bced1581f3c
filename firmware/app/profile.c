/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that count: the model layer by layer, and a loop of known length. */
#include "commands.h"
#include "counting.h"
#include "model.h"
#include "model_config.h"
#include "port.h"
#include "reply.h"

void command_profile(const request *parsed) {
  (void)parsed;
  for (int layer = 0; layer < MODEL_LAYERS; layer++) {
    uint64_t begin = counting_begin();
    model_invoke_layer(layer);
    uint64_t ticks = counting_end(begin);
    reply_begin("event", "layer");
    reply_number("index", (uint32_t)layer);
    reply_ticks("ticks", ticks);
    reply_end();
  }
  reply_ok("profile");
  reply_ticks("overhead", counting_overhead());
  reply_end();
}

/* In assembly on a core, so that its length is known: two instructions an iteration. */
static inline void loop(uint32_t count) {
#if defined(__arm__)
  __asm volatile("1: subs %0, %0, #1\n   bne 1b\n" : "+r"(count) : : "cc");
#else
  for (volatile uint32_t left = count; left; left--) {
  }
#endif
}

void command_loop(const request *parsed) {
  uint32_t count;
  if (!request_number(parsed, "count", &count) || !count) {
    reply_error("field", "wanted: count, at least 1");
    return;
  }
  uint64_t begin = counting_begin();
  loop(count);
  uint64_t ticks = counting_end(begin);
  reply_ok("loop");
  reply_ticks("ticks", ticks);
  reply_end();
}
