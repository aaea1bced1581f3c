/* SPDX-License-Identifier: Apache-2.0 */
/* One request: a flat JSON object on one line, strings and whole numbers only. */
#ifndef TINYFLOW_REQUEST_H
#define TINYFLOW_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#define LINE_BYTES 1024 /* the longest line, newline included */

enum { REQUEST_FIELDS = 8 };

typedef struct {
  const char *key;
  const char *string; /* NULL: a number */
  uint32_t number;
} request_field;

typedef struct {
  request_field fields[REQUEST_FIELDS];
  int count;
} request;

/* Parses `line` in place. Returns 0 for anything but {"key":"string","key":123,...}: no escapes in strings, printable
 * ASCII only, numbers of 0 to 4294967295 without sign or leading zero, no key twice, at most REQUEST_FIELDS. */
int request_parse(char *line, request *parsed);

/* The string, or NULL when it is absent or a number. */
const char *request_string(const request *parsed, const char *key);

/* Whether the number is there; its value in `*number`. */
int request_number(const request *parsed, const char *key, uint32_t *number);

/* Whether two strings are equal (no string.h: memcpy and memset are all that is linked). */
int text_equal(const char *a, const char *b);

#endif
