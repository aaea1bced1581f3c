/* SPDX-License-Identifier: Apache-2.0 */
/* What the firmware can be asked. docs/console.md has each one's fields. */
#ifndef TINYFLOW_COMMANDS_H
#define TINYFLOW_COMMANDS_H

#include <stdint.h>

#include "request.h"

/* Runs the command that `parsed` names and writes its answer, always exactly one ok or error line. */
void command_run(const request *parsed);

/* One file each. */
void command_selftest(const request *parsed);
void command_audio(const request *parsed);
void command_frontend(const request *parsed);
void command_profile(const request *parsed);
void command_loop(const request *parsed);
void command_listen(const request *parsed);
void command_stream(const request *parsed);
void command_microphone(const request *parsed);

/* Decodes and checks the bulk fields (offset, size, crc, data). Returns the bytes, in the line itself, or NULL after an
 * error line. */
const uint8_t *command_bulk(const request *parsed, uint32_t *offset, uint32_t *size);

#endif
