/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYFLOW_BASE64_H
#define TINYFLOW_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* Decodes the string `text` (RFC 4648, padded, nothing else tolerated) into `data`, at most `capacity` bytes;
 * `data` may be `text` itself. Returns the bytes written, or -1 when it is no base64 or too long. */
int base64_decode(const char *text, uint8_t *data, size_t capacity);

/* Encodes 1 to 3 bytes into 4 characters. */
void base64_encode_group(const uint8_t *data, size_t size, char text[4]);

#endif
