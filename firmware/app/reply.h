/* SPDX-License-Identifier: Apache-2.0 */
/* Writes answers: one JSON object a line, straight to the console. */
#ifndef TINYFLOW_REPLY_H
#define TINYFLOW_REPLY_H

#include <stddef.h>
#include <stdint.h>

/* The request that the next lines answer. */
void reply_to(uint32_t id);

/* {"<kind>":"<name>","id":<id> ; kind is ok, event or error. */
void reply_begin(const char *kind, const char *name);
void reply_ok(const char *name);
void reply_number(const char *key, uint32_t value);
void reply_ticks(const char *key, uint64_t value);
void reply_string(const char *key, const char *text); /* quotes, backslashes and control characters become '?' */
void reply_data(const uint8_t *data, size_t size);    /* "size", "crc" and "data" in base64 */
void reply_end(void);

/* A whole error line: `code` for the host, `detail` for people. */
void reply_error(const char *code, const char *detail);

#endif
