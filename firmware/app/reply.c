/* SPDX-License-Identifier: Apache-2.0 */
#include "reply.h"

#include "base64.h"
#include "crc32.h"
#include "port.h"

static void write_text(const char *text) {
  for (; *text; text++) port_write(text, 1); /* a count first would link strlen */
}

static void write_quoted(const char *text) {
  port_write("\"", 1);
  for (; *text; text++) port_write(*text < 0x20 || *text > 0x7E || *text == '"' || *text == '\\' ? "?" : text, 1);
  port_write("\"", 1);
}

/* In limbs of 16 bits: a 64-bit division would link more of libgcc than this program is worth. */
static void write_number(uint64_t value) {
  char digits[20];
  size_t at = sizeof digits;
  do {
    uint32_t remainder = 0;
    uint64_t quotient = 0;
    for (int limb = 48; limb >= 0; limb -= 16) {
      remainder = remainder << 16 | (uint32_t)(value >> limb & 0xFFFF);
      quotient = quotient << 16 | remainder / 10;
      remainder %= 10;
    }
    digits[--at] = (char)('0' + remainder);
    value = quotient;
  } while (value);
  port_write(digits + at, sizeof digits - at);
}

static void write_key(const char *key) {
  write_text(",\"");
  write_text(key);
  write_text("\":");
}

static uint32_t answered;

void reply_to(uint32_t id) { answered = id; }

void reply_begin(const char *kind, const char *name) {
  write_text("{\"");
  write_text(kind);
  write_text("\":\"");
  write_text(name);
  write_text("\"");
  reply_number("id", answered);
}

void reply_ok(const char *name) { reply_begin("ok", name); }

void reply_number(const char *key, uint32_t value) { reply_ticks(key, value); }

void reply_ticks(const char *key, uint64_t value) {
  write_key(key);
  write_number(value);
}

void reply_string(const char *key, const char *text) {
  write_key(key);
  write_quoted(text);
}

void reply_data(const uint8_t *data, size_t size) {
  reply_number("size", size);
  reply_number("crc", crc32(data, size));
  write_key("data");
  write_text("\"");
  for (size_t i = 0; i < size; i += 3) {
    char group[4];
    base64_encode_group(data + i, size - i, group);
    port_write(group, 4);
  }
  write_text("\"");
}

void reply_end(void) { write_text("}\n"); }

void reply_error(const char *code, const char *detail) {
  reply_begin("error", code);
  reply_string("detail", detail);
  reply_end();
}
