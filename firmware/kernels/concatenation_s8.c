/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kernels.h"

void concatenation_s8(const concatenation_s8_params *p, const int8_t *input, int8_t *output) {
  output += p->output_start;
  for (int32_t i = 0; i < p->outer; i++, input += p->run, output += p->output_run) {
    memcpy(output, input, (size_t)p->run);
  }
}
