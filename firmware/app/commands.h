/* SPDX-License-Identifier: Apache-2.0 */
/* What the firmware can be asked. docs/console.md has each one's fields. */
#ifndef TINYFLOW_COMMANDS_H
#define TINYFLOW_COMMANDS_H

#include <stdint.h>

#include "request.h"

/* An error line: `code` for the host, `detail` for people. */
void command_error(uint32_t id, const char *code, const char *detail);

/* Runs the command that `parsed` names and writes its answer, always exactly one ok or error line. */
void command_run(const request *parsed, uint32_t id);

/* One file each. */
void command_selftest(const request *parsed, uint32_t id);
void command_audio(const request *parsed, uint32_t id);
void command_frontend(const request *parsed, uint32_t id);
void command_profile(const request *parsed, uint32_t id);
void command_loop(const request *parsed, uint32_t id);

/* Decodes and checks the bulk fields (offset, size, crc, data). Returns the bytes, in the line itself, or NULL after an error line. */
const uint8_t *command_bulk(const request *parsed, uint32_t id, uint32_t *offset, uint32_t *size);

#endif
