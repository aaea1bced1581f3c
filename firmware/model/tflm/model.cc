// SPDX-License-Identifier: Apache-2.0
// firmware/model/model.h by TensorFlow Lite Micro's interpreter.
#include "interpreter.h"

extern "C" {
#include "model.h"
}

namespace {

alignas(16) uint8_t arena[MODEL_ARENA_BYTES];
tflite::MicroInterpreter *interpreter;
int8_t *input;
const int8_t *output;

// What running one operator alone takes. The interpreter has it too, but shows it to nobody: it calls each operator's
// prepare in order, once, so there it is written down. Its own Invoke stays as it is.
using Registration = TFLMRegistration;
struct Operator {
  decltype(Registration::invoke) invoke;
  TfLiteNode *node;
} operators[MODEL_LAYERS];
TfLiteContext *context;
int prepared;

Registration *registrations[TFLM_KINDS];
decltype(Registration::prepare) prepares[TFLM_KINDS];

TfLiteStatus Prepare(TfLiteContext *its_context, TfLiteNode *node) {
  const int kind = tflm_kind_of[prepared];
  context = its_context;
  operators[prepared++] = {registrations[kind]->invoke, node};
  return prepares[kind] ? prepares[kind](its_context, node) : kTfLiteOk;
}

}  // namespace

extern "C" {

void model_init(void) {
  static Place<Resolver> place;
  Resolver &resolver = *place.make();
  tflm_register(resolver);
  for (int kind = 0; kind < TFLM_KINDS; kind++) {
    registrations[kind] = const_cast<Registration *>(resolver.FindOp(tflm_kinds[kind]));
    prepares[kind] = registrations[kind]->prepare;
    registrations[kind]->prepare = Prepare;
  }
  interpreter = tflm_interpreter(resolver, arena, sizeof arena);
  if (!interpreter)
    port_fail("TFLM: AllocateTensors failed: the arena is too small, or an operator refuses its tensors");
  input = interpreter->input(0)->data.int8;
  output = interpreter->output(0)->data.int8;
}

int8_t *model_input(void) { return input; }

void model_invoke(void) {
  if (interpreter->Invoke() != kTfLiteOk) port_fail("TFLM: Invoke failed");
}

void model_invoke_layer(int index) {
  if (operators[index].invoke(context, operators[index].node) != kTfLiteOk) port_fail("TFLM: an operator failed");
}

const int8_t *model_output(void) { return output; }

const int8_t *model_arena(void) { return reinterpret_cast<const int8_t *>(arena); }

}  // extern "C"
