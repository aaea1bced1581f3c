// SPDX-License-Identifier: Apache-2.0
// TensorFlow Lite Micro's interpreter over the model in flash, without heap, exceptions or static constructors.
// tflm_model.h, generated, has the model, Resolver (the operators that it needs) and tflm_register, which fills one.
// For one source file of a program: TFLM's headers take seconds to compile.
#ifndef TINYFLOW_TFLM_INTERPRETER_H
#define TINYFLOW_TFLM_INTERPRETER_H

#include <new>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_model.h"

extern "C" {
#include "port.h"
}

// No heap: destructors refer to it, nothing calls it.
void operator delete(void *) noexcept {}
void operator delete(void *, std::size_t) noexcept {}

// TFLM's failed checks end here; newlib's own would bring signals and a heap.
extern "C" [[noreturn]] void abort(void) { port_fail("TFLM: a failed check"); }

// In place, by whoever needs it: start-up runs no constructors, and nothing is ever destroyed.
template <typename T>
struct Place {
  alignas(T) unsigned char bytes[sizeof(T)];

  template <typename... Arguments>
  T *make(Arguments &&...arguments) {
    return new (bytes) T(static_cast<Arguments &&>(arguments)...);
  }
};

// nullptr when the operators do not find what they need in the arena. The one before it is forgotten.
static tflite::MicroInterpreter *tflm_interpreter(Resolver &resolver, uint8_t *arena, size_t arena_bytes) {
  static Place<tflite::MicroInterpreter> place;
  tflite::MicroInterpreter *interpreter =
      place.make(tflite::GetModel(model_const_tflite), resolver, arena, arena_bytes);
  return interpreter->AllocateTensors() == kTfLiteOk ? interpreter : nullptr;
}

#endif
