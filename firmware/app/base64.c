/* SPDX-License-Identifier: Apache-2.0 */
#include "base64.h"

static int value_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_decode(const char *text, uint8_t *data, size_t capacity) {
  size_t written = 0;
  for (; *text; text += 4) {
    uint32_t group = 0;
    size_t bytes = 3;
    for (int i = 0; i < 4; i++) {
      int value = value_of(text[i]);
      if (value < 0) {
        /* padding: one or two '=' that end the text */
        if (text[i] != '=' || i < 2 || (i == 2 && text[3] != '=') || text[4]) return -1;
        bytes = (size_t)i - 1;
        group <<= 6 * (4 - i);
        break;
      }
      group = group << 6 | (uint32_t)value;
    }
    if (bytes < 3 && (group & ((1u << 8 * (3 - bytes)) - 1))) return -1; /* bits that encode nothing must be zero */
    if (written + bytes > capacity) return -1;
    for (size_t i = 0; i < bytes; i++) data[written++] = (uint8_t)(group >> (16 - 8 * i));
    if (bytes < 3) break;
  }
  return (int)written;
}

void base64_encode_group(const uint8_t *data, size_t size, char text[4]) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  uint32_t group = (uint32_t)data[0] << 16 | (size > 1 ? (uint32_t)data[1] << 8 : 0) | (size > 2 ? data[2] : 0);
  text[0] = digits[group >> 18];
  text[1] = digits[group >> 12 & 63];
  text[2] = size > 1 ? digits[group >> 6 & 63] : '=';
  text[3] = size > 2 ? digits[group & 63] : '=';
}
