/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

int text_equal(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

static char *skip_spaces(char *at) {
  while (*at == ' ' || *at == '\t' || *at == '\r') at++;
  return at;
}

/* `at` stands on the opening quote; ends the string in place. NULL when it is not a plain string. */
static char *parse_string(char *at, const char **string) {
  if (*at++ != '"') return NULL;
  *string = at;
  while (*at != '"') {
    if (*at < 0x20 || *at > 0x7E || *at == '\\') return NULL;
    at++;
  }
  *at = 0;
  return at + 1;
}

static char *parse_number(char *at, uint32_t *number) {
  if (*at < '0' || *at > '9' || (*at == '0' && at[1] >= '0' && at[1] <= '9')) return NULL;
  uint64_t value = 0;
  for (; *at >= '0' && *at <= '9'; at++) {
    value = value * 10 + (uint64_t)(*at - '0');
    if (value > UINT32_MAX) return NULL;
  }
  *number = (uint32_t)value;
  return at;
}

static const request_field *find(const request *parsed, const char *key) {
  for (int i = 0; i < parsed->count; i++)
    if (text_equal(parsed->fields[i].key, key)) return &parsed->fields[i];
  return NULL;
}

int request_parse(char *line, request *parsed) {
  parsed->count = 0;
  char *at = skip_spaces(line);
  if (*at++ != '{') return 0;
  at = skip_spaces(at);
  if (*at == '}') return *skip_spaces(at + 1) == 0;
  for (;;) {
    if (parsed->count == REQUEST_FIELDS) return 0;
    request_field *field = &parsed->fields[parsed->count];
    field->string = NULL;
    field->number = 0;
    at = parse_string(skip_spaces(at), &field->key);
    if (!at || find(parsed, field->key)) return 0;
    at = skip_spaces(at);
    if (*at++ != ':') return 0;
    at = skip_spaces(at);
    at = *at == '"' ? parse_string(at, &field->string) : parse_number(at, &field->number);
    if (!at) return 0;
    parsed->count++;
    at = skip_spaces(at);
    if (*at == '}') return *skip_spaces(at + 1) == 0;
    if (*at++ != ',') return 0;
  }
}

const char *request_string(const request *parsed, const char *key) {
  const request_field *field = find(parsed, key);
  return field ? field->string : NULL;
}

int request_number(const request *parsed, const char *key, uint32_t *number) {
  const request_field *field = find(parsed, key);
  if (!field || field->string) return 0;
  *number = field->number;
  return 1;
}
