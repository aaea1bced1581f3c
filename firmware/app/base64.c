/* SPDX-License-Identifier: Apache-2.0 */
#include "base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* 64 for what is no digit. */
static uint32_t value_of(char c) {
  uint32_t value = 0;
  while (value < 64 && digits[value] != c) value++;
  return value;
}

int base64_decode(const char *text, uint8_t *data, size_t capacity) {
  size_t written = 0;
  for (; *text; text += 4) {
    uint32_t group = 0;
    size_t bytes = 3;
    for (int i = 0; i < 4; i++) {
      const uint32_t value = value_of(text[i]);
      if (value > 63) {
        /* padding: one or two '=' that end the text */
        if (text[i] != '=' || i < 2 || (i == 2 && text[3] != '=') || text[4]) return -1;
        bytes = (size_t)i - 1;
        group <<= 6 * (4 - i);
        break;
      }
      group = group << 6 | value;
    }
    if (bytes < 3 && (group & ((1u << 8 * (3 - bytes)) - 1))) return -1; /* bits that encode nothing must be zero */
    if (written + bytes > capacity) return -1;
    for (size_t i = 0; i < bytes; i++) data[written++] = (uint8_t)(group >> (16 - 8 * i));
    if (bytes < 3) break;
  }
  return (int)written;
}

void base64_encode_group(const uint8_t *data, size_t size, char text[4]) {
  uint32_t group = (uint32_t)data[0] << 16 | (size > 1 ? (uint32_t)data[1] << 8 : 0) | (size > 2 ? data[2] : 0);
  for (size_t i = 0; i < 4; i++, group <<= 6) text[i] = i <= size ? digits[group >> 18 & 63] : '=';
}
