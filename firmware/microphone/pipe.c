/* SPDX-License-Identifier: Apache-2.0 */
/* A microphone for the host board: 16-bit little-endian samples from the file or pipe that TINYFLOW_MICROPHONE names:
 *
 *   mkfifo voice; arecord -q -t raw -f S16_LE -r 16000 -c 1 > voice &
 *   TINYFLOW_MICROPHONE=$PWD/voice tinyflow listen --board host */
#define _POSIX_C_SOURCE 200809L
#include "microphone.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

static int file = -1;
static uint8_t half; /* a sample's first byte, where a read ended in its middle */
static size_t halves;

const char *microphone_start(void) {
  const char *name = getenv("TINYFLOW_MICROPHONE");
  if (!name || !*name) return "TINYFLOW_MICROPHONE names no file or pipe of samples";
  if (file >= 0) close(file);
  file = open(name, O_RDONLY);
  halves = 0;
  return file < 0 ? "what TINYFLOW_MICROPHONE names cannot be opened" : NULL;
}

static int ready(int milliseconds) {
  struct pollfd one = {file, POLLIN, 0};
  return poll(&one, 1, milliseconds) > 0;
}

size_t microphone_read(int16_t *samples, size_t count) {
  uint8_t *bytes = (uint8_t *)samples;
  if (!ready(0)) return 0;
  if (halves) bytes[0] = half;
  const ssize_t found = read(file, bytes + halves, 2 * count - halves);
  if (found <= 0) return 0;
  const size_t have = (size_t)found + halves;
  halves = have % 2;
  if (halves) half = bytes[have - 1];
  return have / 2;
}

void microphone_wait(void) { ready(100); }

uint32_t microphone_lost(void) { return 0; }
