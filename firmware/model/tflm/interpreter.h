// SPDX-License-Identifier: Apache-2.0
// TensorFlow Lite Micro's interpreter over the model in flash, without heap, exceptions or static constructors.
// tflm_model.h, generated, has the model, Resolver (the operators that it needs) and tflm_register, which fills one.
#ifndef TINYFLOW_TFLM_INTERPRETER_H
#define TINYFLOW_TFLM_INTERPRETER_H

#include <new>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_model.h"

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
tflite::MicroInterpreter *tflm_interpreter(Resolver &resolver, uint8_t *arena, size_t arena_bytes);

#endif
