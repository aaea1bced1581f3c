/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

#include <string.h>

#include "frontend.h"
#include "frontend_config.h"

static listen_settings set;
static uint32_t frames;
static int due;

static int8_t rows[LISTEN_ROWS][FRONTEND_FEATURES]; /* a ring */
static uint32_t next_row;                       /* the oldest, and the one to write */
static uint32_t hops_left;                      /* until the network is due */

static uint8_t answers[LISTEN_AVERAGE_MOST][LISTEN_LABELS]; /* posteriors of the last `average` runs, a ring */
static uint32_t next_answer;
static uint32_t sums[LISTEN_LABELS]; /* of answers */
static uint32_t quiet;               /* hops of the refractory time that are left */

int listen_begin(const listen_settings *settings) {
  if (!settings->every || !settings->average || settings->average > LISTEN_AVERAGE_MOST) return 0;
  if (!settings->threshold || settings->threshold > 256) return 0;
  set = *settings;
  frontend_reset();
  memset(answers, 0, sizeof answers);
  memset(sums, 0, sizeof sums);
  frames = next_row = next_answer = quiet = 0;
  hops_left = LISTEN_ROWS;
  due = 0;
  return 1;
}

size_t listen_samples(const int16_t *samples, size_t count) {
  const size_t part = count < FRONTEND_HOP ? count : FRONTEND_HOP;
  due = 0;
  if (frontend_push(samples, part, rows[next_row])) {
    next_row = next_row + 1 < LISTEN_ROWS ? next_row + 1 : 0;
    frames++;
    if (!--hops_left) {
      hops_left = set.every;
      due = 1;
    }
  }
  return part;
}

int listen_due(void) { return due; }

void listen_input(int8_t *input) {
  /* bytes from the oldest row to the ring's end */
  const size_t older = (size_t)(LISTEN_ROWS - next_row) * FRONTEND_FEATURES;
  memcpy(input, rows[next_row], older);
  memcpy(input + older, rows[0], (size_t)next_row * FRONTEND_FEATURES);
}

/* Posteriors in 1/256, as TFLite's int8 SOFTMAX gives them. */
static void take_posteriors(const int8_t *output, uint8_t *posterior) {
#if LISTEN_SOFTMAX /* the network's last layer is one */
  for (int i = 0; i < LISTEN_LABELS; i++) posterior[i] = (uint8_t)(output[i] + 128);
#else
  int largest = -128;
  uint32_t sum = 0, powers[LISTEN_LABELS];
  for (int i = 0; i < LISTEN_LABELS; i++)
    if (output[i] > largest) largest = output[i];
  for (int i = 0; i < LISTEN_LABELS; i++) {
    const int below = largest - output[i];
    powers[i] = below < LISTEN_POWERS ? listen_powers[below] : 0;
    sum += powers[i];
  }
  for (int i = 0; i < LISTEN_LABELS; i++) {
    const uint32_t rounded = (256 * powers[i] + sum / 2) / sum;
    posterior[i] = (uint8_t)(rounded < 255 ? rounded : 255);
  }
#endif
}

int listen_output(const int8_t *output, listen_word *word) {
  uint8_t *newest = answers[next_answer];
  next_answer = next_answer + 1 < set.average ? next_answer + 1 : 0;
  for (int i = 0; i < LISTEN_LABELS; i++) sums[i] -= newest[i];
  take_posteriors(output, newest);
  uint32_t best = 0;
  for (uint32_t i = 0; i < LISTEN_LABELS; i++) {
    sums[i] += newest[i];
    if (sums[i] > sums[best]) best = i;
  }
  quiet -= quiet < set.every ? quiet : set.every;
  if (quiet || !listen_counts[best] || sums[best] < (uint32_t)set.threshold * set.average) return 0;
  quiet = set.refractory;
  word->label = best;
  word->score = sums[best] / set.average;
  word->sample = (uint64_t)(frames - 1) * FRONTEND_HOP + FRONTEND_WINDOW;
  return 1;
}

uint32_t listen_frames(void) { return frames; }
