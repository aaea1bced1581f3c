/* SPDX-License-Identifier: Apache-2.0 */
/* One line in, one answer out, for ever. */
#include <stddef.h>

#include "commands.h"
#include "counting.h"
#include "model.h"
#include "port.h"
#include "reply.h"
#include "request.h"

static char line[LINE_BYTES];

/* Reads a line without its end. Returns 0 when it was longer than LINE_BYTES (the rest is skipped). */
static int read_line(void) {
  size_t length = 0;
  int whole = 1;
  for (;;) {
    int c = port_read();
    if (c == '\n') break;
    if (length == LINE_BYTES - 1) {
      whole = 0;
    } else {
      line[length++] = c ? (char)c : '?'; /* a zero would hide what follows it */
    }
  }
  line[length] = 0;
  return whole;
}

int main(void) {
  port_init();
  counting_calibrate();
  model_init();
  reply_begin("event", "ready");
  reply_end();
  for (;;) {
    static request parsed;
    uint32_t id = 0;
    reply_to(0);
    if (!read_line()) {
      reply_error("line", "longer than 1024 bytes");
    } else if (line[0] == 0 || (line[0] == '\r' && line[1] == 0)) {
      continue; /* an empty line only ends a half one */
    } else if (!request_parse(line, &parsed)) {
      reply_error("json", "not a flat JSON object");
    } else {
      request_number(&parsed, "id", &id);
      reply_to(id);
      command_run(&parsed);
    }
  }
}
