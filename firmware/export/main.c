/* SPDX-License-Identifier: Apache-2.0 */
/* An example: `cc *.c && ./a.out [FILE]` prints every class and its score. FILE holds raw 16-bit samples (a model
 * without front end: int8 inputs), /dev/stdin too; without one it is a tone (zeros). A main of your own takes this
 * one's place. */
#include <stdio.h>

#include "tinyflow.h"

#ifdef __ELF__
__attribute__((weak))
#endif
int main(int count, char **arguments) {
  FILE *file = count > 1 ? fopen(arguments[1], "rb") : NULL;
  tinyflow_init();
#if TINYFLOW_FRONTEND
  static int16_t clip[TINYFLOW_CLIP_SAMPLES];
  /* 440 Hz */
  for (long i = 0; i < TINYFLOW_CLIP_SAMPLES; i++) clip[i] = i * 880 / TINYFLOW_SAMPLE_RATE % 2 ? 4000 : -4000;
  if (file && !fread(clip, sizeof *clip, TINYFLOW_CLIP_SAMPLES, file)) return 1;
  tinyflow_classify(clip);
#else
  if (file && !fread(tinyflow_input(), 1, TINYFLOW_INPUT_BYTES, file)) return 1;
  tinyflow_invoke();
#endif
  for (int i = 0; i < TINYFLOW_OUTPUT_BYTES; i++) printf("%d %d %s\n", i, tinyflow_output()[i], tinyflow_label(i));
  return 0;
}
