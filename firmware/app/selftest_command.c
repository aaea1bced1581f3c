/* SPDX-License-Identifier: Apache-2.0 */
/* Every embedded clip through the front end and the network, compared with what compile stored. */
#include "app_config.h"
#include "commands.h"
#include "counting.h"
#include "model.h"
#include "model_config.h"
#include "port.h"
#include "reply.h"

#if SELFTEST_CLIPS

#include "frontend.h"
#include "selftest.h"

/* Index of the first difference, or `size`. */
static uint32_t first_difference(const int8_t *a, const int8_t *b, uint32_t size) {
  uint32_t i = 0;
  while (i < size && a[i] == b[i]) i++;
  return i;
}

static int argmax(const int8_t *values, int count) {
  int best = 0;
  for (int i = 1; i < count; i++)
    if (values[i] > values[best]) best = i;
  return best;
}

void command_selftest(const request *parsed) {
  (void)parsed;
  uint32_t features_equal = 0, answers_equal = 0;
  port_stack_paint();
  for (int clip = 0; clip < SELFTEST_CLIPS; clip++) {
    uint64_t begin = counting_begin();
    frontend_clip(selftest_audio[clip], SELFTEST_SAMPLES, model_input());
    uint64_t frontend_ticks = counting_end(begin);
    uint32_t feature = first_difference(model_input(), selftest_features[clip], MODEL_INPUT_BYTES);
    begin = counting_begin();
    model_invoke();
    uint64_t network_ticks = counting_end(begin);
    uint32_t answer = first_difference(model_output(), selftest_answers[clip], MODEL_OUTPUT_BYTES);
    features_equal += feature == MODEL_INPUT_BYTES;
    answers_equal += answer == MODEL_OUTPUT_BYTES;
    reply_begin("event", "clip");
    reply_number("clip", (uint32_t)clip);
    reply_string("word", selftest_words[clip]);
    reply_number("heard", (uint32_t)argmax(model_output(), MODEL_OUTPUT_BYTES));
    /* index of the first difference; the size of the array where there is none */
    reply_number("feature", feature);
    reply_number("answer", answer);
    reply_ticks("frontend_ticks", frontend_ticks);
    reply_ticks("network_ticks", network_ticks);
    reply_end();
  }
  reply_ok("selftest");
  reply_number("clips", SELFTEST_CLIPS);
  reply_number("features_equal", features_equal);
  reply_number("answers_equal", answers_equal);
  reply_number("stack", port_stack_used());
  reply_string("verdict", features_equal == SELFTEST_CLIPS && answers_equal == SELFTEST_CLIPS ? "pass" : "fail");
  reply_end();
}

#else

void command_selftest(const request *parsed) {
  (void)parsed;
  reply_error("clips", "none in this firmware");
}

#endif
