// SPDX-License-Identifier: Apache-2.0
#include "interpreter.h"

extern "C" {
#include "port.h"
}

// No heap: destructors refer to it, nothing calls it.
void operator delete(void *) noexcept {}
void operator delete(void *, std::size_t) noexcept {}

// TFLM's failed checks end here; newlib's own would bring signals and a heap.
extern "C" [[noreturn]] void abort(void) { port_fail("TFLM: a failed check"); }

tflite::MicroInterpreter *tflm_interpreter(Resolver &resolver, uint8_t *arena, size_t arena_bytes) {
  static Place<tflite::MicroInterpreter> place;
  tflite::MicroInterpreter *interpreter = place.make(tflite::GetModel(model_const_tflite), resolver, arena, arena_bytes);
  return interpreter->AllocateTensors() == kTfLiteOk ? interpreter : nullptr;
}
