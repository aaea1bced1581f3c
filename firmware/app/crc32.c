/* SPDX-License-Identifier: Apache-2.0 */
#include "crc32.h"

/* Bit by bit: a line is short, and a table would take more flash than the program. */
uint32_t crc32(const void *data, size_t size) {
  const uint8_t *byte = data;
  uint32_t crc = 0xFFFFFFFFu;
  while (size--) {
    crc ^= *byte++;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  return ~crc;
}
