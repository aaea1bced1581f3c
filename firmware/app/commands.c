/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include "app_config.h"
#include "base64.h"
#include "counting.h"
#include "crc32.h"
#include "model.h"
#include "model_config.h"
#include "port.h"
#include "reply.h"
#if TINYFLOW_FRONTEND
#include "frontend_config.h"
#endif

#define PROTOCOL 1
#define CHUNK_BYTES 672 /* of bulk data per line */

const uint8_t *command_bulk(const request *parsed, uint32_t *offset, uint32_t *size) {
  uint32_t crc;
  const char *text = request_string(parsed, "data");
  if (!text || !request_number(parsed, "offset", offset) || !request_number(parsed, "size", size) ||
      !request_number(parsed, "crc", &crc)) {
    reply_error("field", "wanted: offset, size, crc, data");
    return NULL;
  }
  uint8_t *data = (uint8_t *)text; /* the line is ours, and shrinks */
  int decoded = base64_decode(text, data, LINE_BYTES);
  if (decoded < 0) {
    reply_error("base64", "data is not base64");
  } else if ((uint32_t)decoded != *size) {
    reply_error("size", "data has another size");
  } else if (crc32(data, *size) != crc) {
    reply_error("crc", "data has another CRC-32");
  } else {
    return data;
  }
  return NULL;
}

static void command_hello(const request *parsed) {
  (void)parsed;
  reply_ok("hello");
  reply_number("protocol", PROTOCOL);
  reply_string("build", APP_BUILD_ID);
  reply_string("board", APP_BOARD);
  reply_string("model", APP_MODEL);
  reply_string("counter", port_counter());
  reply_number("counter_bits", COUNTER_WIDTH_BITS);
  reply_number("counter_hz", COUNTER_HZ);
  reply_number("input", MODEL_INPUT_BYTES);
  reply_number("output", MODEL_OUTPUT_BYTES);
  reply_number("arena", MODEL_ARENA_BYTES);
  reply_number("layers", MODEL_LAYERS);
  reply_number("clips", SELFTEST_CLIPS);
  reply_number("frontend", TINYFLOW_FRONTEND);
#if TINYFLOW_FRONTEND
  reply_number("sample_rate", FRONTEND_SAMPLE_RATE);
  reply_number("window", FRONTEND_WINDOW);
  reply_number("hop", FRONTEND_HOP);
  reply_number("features", FRONTEND_FEATURES);
  reply_number("clip_samples", (MODEL_INPUT_BYTES / FRONTEND_FEATURES - 1) * FRONTEND_HOP + FRONTEND_WINDOW);
#endif
  const char *warning = port_warning();
  reply_string("warning", warning ? warning : "");
  reply_end();
}

static void command_put(const request *parsed) {
  uint32_t offset, size;
  const uint8_t *data = command_bulk(parsed, &offset, &size);
  if (!data) return;
  if (offset > MODEL_INPUT_BYTES || size > MODEL_INPUT_BYTES - offset) {
    reply_error("range", "beyond the end");
    return;
  }
  /* memcpy is linked only where a kernel wants it */
  for (uint32_t i = 0; i < size; i++) model_input()[offset + i] = (int8_t)data[i];
  reply_ok("put");
  reply_end();
}

static void command_infer(const request *parsed) {
  (void)parsed;
  port_stack_paint();
  uint64_t begin = counting_begin();
  model_invoke();
  uint64_t ticks = counting_end(begin);
  size_t stack = port_stack_used();
  reply_ok("infer");
  reply_ticks("ticks", ticks);
  reply_number("stack", stack);
  reply_data((const uint8_t *)model_output(), MODEL_OUTPUT_BYTES < CHUNK_BYTES ? MODEL_OUTPUT_BYTES : CHUNK_BYTES);
  reply_end();
}

/* A piece of a buffer back to the host. */
static void read_back(const request *parsed, const char *name, const int8_t *buffer, uint32_t bytes) {
  uint32_t offset, size;
  if (!request_number(parsed, "offset", &offset) || !request_number(parsed, "size", &size)) {
    reply_error("field", "wanted: offset, size");
  } else if (size > CHUNK_BYTES || offset > bytes || size > bytes - offset) {
    reply_error("range", "longer than a line, or beyond the end");
  } else {
    reply_ok(name);
    reply_data((const uint8_t *)buffer + offset, size);
    reply_end();
  }
}

static void command_input(const request *parsed) { read_back(parsed, "input", model_input(), MODEL_INPUT_BYTES); }

static void command_output(const request *parsed) { read_back(parsed, "output", model_output(), MODEL_OUTPUT_BYTES); }

static void command_arena(const request *parsed) { read_back(parsed, "arena", model_arena(), MODEL_ARENA_BYTES); }

static void command_layer(const request *parsed) {
  uint32_t index;
  if (!request_number(parsed, "index", &index)) {
    reply_error("field", "wanted: index");
  } else if (index >= MODEL_LAYERS) {
    reply_error("range", "no such layer");
  } else {
    for (uint32_t i = 0; i <= index; i++) model_invoke_layer((int)i);
    reply_ok("layer");
    reply_end();
  }
}

void command_run(const request *parsed) {
  static const struct {
    const char *name;
    void (*run)(const request *parsed);
  } commands[] = {
      {"hello", command_hello},           {"put", command_put},           {"infer", command_infer},
      {"output", command_output},         {"input", command_input},       {"arena", command_arena},
      {"layer", command_layer},           {"profile", command_profile},   {"loop", command_loop},
      {"selftest", command_selftest},
#if TINYFLOW_FRONTEND
      {"audio", command_audio},           {"frontend", command_frontend},
#endif
#if TINYFLOW_LISTEN
      {"listen", command_listen},         {"stream", command_stream},
#endif
#if TINYFLOW_MICROPHONE
      {"microphone", command_microphone},
#endif
  };
  const char *name = request_string(parsed, "cmd");
  if (!name) {
    reply_error("field", "wanted: cmd");
    return;
  }
  for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
    if (text_equal(name, commands[i].name)) {
      commands[i].run(parsed);
      return;
    }
  }
  reply_error("command", "no such command");
}
