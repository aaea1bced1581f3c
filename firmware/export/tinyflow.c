/* SPDX-License-Identifier: Apache-2.0 */
#include "tinyflow.h"

#include "model.h"

void tinyflow_init(void) { model_init(); }

int8_t *tinyflow_input(void) { return model_input(); }

const int8_t *tinyflow_output(void) { return model_output(); }

const int8_t *tinyflow_invoke(void) {
  model_invoke();
  return model_output();
}

int tinyflow_best(void) {
  const int8_t *output = model_output();
  int best = 0;
  for (int i = 1; i < TINYFLOW_OUTPUT_BYTES; i++)
    if (output[i] > output[best]) best = i;
  return best;
}

float tinyflow_score(int index) {
  return TINYFLOW_OUTPUT_SCALE * (float)(model_output()[index] - TINYFLOW_OUTPUT_ZERO_POINT);
}

const char *tinyflow_label(int index) {
  static const char *const labels[] = {TINYFLOW_LABELS};
  return index >= 0 && index < (int)(sizeof labels / sizeof labels[0]) ? labels[index] : "";
}
