// SPDX-License-Identifier: Apache-2.0
// Counts one model under TensorFlow Lite Micro's interpreter, on the port and by the counter that count our own code.
//
// benchmarks/tflm.py generates model_data.h: the model, rows of input, the operators to register, TFLM_ARENA_BYTES.
// Prints lines: "arena BYTES"; "ticks N" and "output HEX" of every row; "layer TICKS" of each operator; "end" or "fail WHAT".
#include <new>

#include "model_data.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

extern "C" {
#include "port.h"
}

// No heap: destructors refer to it, nothing calls it.
void operator delete(void *) noexcept {}
void operator delete(void *, std::size_t) noexcept {}

// TFLM's failed checks end here; newlib's own would bring signals and a heap.
extern "C" [[noreturn]] void abort(void) { port_fail("abort"); }

namespace {

constexpr int kLayers = 512;

void Text(const char *text) {
  size_t size = 0;
  while (text[size]) size++;
  port_write(text, size);
}

void Number(uint32_t value) {
  char digits[11];
  int at = 10;
  digits[at] = 0;
  do {
    digits[--at] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value);
  Text(" ");
  Text(digits + at);
}

// Ticks of each operator of one inference, in order. The library's own profiler is compiled out of its release build.
int layers;
uint32_t layer_ticks[kLayers];

// Puts itself in the place of a kernel's invoke.
template <int index>
struct Watched {
  static inline decltype(TFLMRegistration::invoke) original;

  static TfLiteStatus Invoke(TfLiteContext *context, TfLiteNode *node) {
    const uint32_t begin = static_cast<uint32_t>(port_ticks());
    const TfLiteStatus status = original(context, node);
    if (layers < kLayers) layer_ticks[layers++] = static_cast<uint32_t>(port_ticks()) - begin;
    return status;
  }

  static void In(const tflite::MicroOpResolver &resolver, tflite::BuiltinOperator kind) {
    auto *registration = const_cast<TFLMRegistration *>(resolver.FindOp(kind));
    original = registration->invoke;
    registration->invoke = Invoke;
  }
};

alignas(16) uint8_t arena[TFLM_ARENA_BYTES];

// In place, by main: the linker script runs no constructors, and nothing is ever destroyed.
template <typename T>
T &Made() {
  alignas(T) static uint8_t place[sizeof(T)];
  return *new (place) T();
}

using Resolver = tflite::MicroMutableOpResolver<TFLM_OPERATORS>;

void Fill(tflite::MicroInterpreter &interpreter, int row) {
  int8_t *input = interpreter.input(0)->data.int8;
  for (size_t i = 0; i < sizeof tflm_rows[0]; i++) input[i] = tflm_rows[row][i];
}

// The whole is counted first; watching the layers costs a little.
const char *Run(const Resolver &resolver, bool watching) {
  tflite::MicroInterpreter interpreter(tflite::GetModel(tflm_model), resolver, arena, sizeof arena);
  if (interpreter.AllocateTensors() != kTfLiteOk) return "allocate";
  if (!watching) {
    Text("arena");
    Number(static_cast<uint32_t>(interpreter.arena_used_bytes()));
    Text("\n");
  }
  for (int row = 0; row < TFLM_ROWS; row++) {
    Fill(interpreter, row);
    if (row == 0) {  // the first run is not counted
      if (interpreter.Invoke() != kTfLiteOk) return "invoke";
      layers = 0;
      Fill(interpreter, row);
    }
    port_lock();
    const uint32_t begin = static_cast<uint32_t>(port_ticks());
    const TfLiteStatus status = interpreter.Invoke();
    const uint32_t ticks = static_cast<uint32_t>(port_ticks()) - begin;
    port_unlock();
    if (status != kTfLiteOk) return "invoke";
    if (watching) break;
    Text("ticks");
    Number(ticks);
    Text("\noutput ");
    const TfLiteTensor *output = interpreter.output(0);
    for (size_t i = 0; i < output->bytes; i++) {
      const uint8_t byte = static_cast<uint8_t>(output->data.int8[i]);
      const char hex[3] = {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15], 0};
      Text(hex);
    }
    Text("\n");
  }
  return nullptr;
}

}  // namespace

extern "C" int main(void) {
  port_init();
  Resolver &resolver = Made<Resolver>();
  tflm_register(resolver);
  const char *failed = Run(resolver, false);
  if (failed == nullptr) {
    tflm_watch<Watched>(resolver);
    failed = Run(resolver, true);
  }
  for (int i = 0; failed == nullptr && i < layers; i++) {
    Text("layer");
    Number(layer_ticks[i]);
    Text("\n");
  }
  Text(failed ? "fail " : "end");
  if (failed) Text(failed);
  Text("\n");
  return 0;
}
