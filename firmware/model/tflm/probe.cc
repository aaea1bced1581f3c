// SPDX-License-Identifier: Apache-2.0
// How large an arena the model needs on this core, by trying: the smallest multiple of 16 bytes in which TFLM's own
// allocator finds room for everything and the model runs. What the interpreter says it used can be too little to
// allocate with. Answers any line with {"ok":"arena","id":0,"bytes":N,"used":N}.
#include "interpreter.h"

extern "C" {
#include "reply.h"
}

namespace {

constexpr size_t kStep = 16;
alignas(16) uint8_t arena[MODEL_ARENA_BYTES];

bool Runs(Resolver &resolver, size_t bytes) {
  tflite::MicroInterpreter *interpreter = tflm_interpreter(resolver, arena, bytes);
  return interpreter && interpreter->Invoke() == kTfLiteOk;
}

}  // namespace

extern "C" int main(void) {
  port_init();
  reply_begin("event", "ready");
  reply_end();
  static Place<Resolver> place;
  Resolver &resolver = *place.make();
  tflm_register(resolver);
  tflite::MicroInterpreter *interpreter = tflm_interpreter(resolver, arena, sizeof arena);
  if (!interpreter) port_fail("TFLM: AllocateTensors failed");
  const size_t used = interpreter->arena_used_bytes();
  // less than what is used: not tried, an interpreter out of so much memory may crash
  size_t low = (used - 1) / kStep * kStep;
  size_t high = sizeof arena;
  while (high - low > kStep) {  // allocating is quick, running is not
    const size_t middle = low + (high - low) / 2 / kStep * kStep;
    if (tflm_interpreter(resolver, arena, middle)) {
      high = middle;
    } else {
      low = middle;
    }
  }
  while (!Runs(resolver, high)) {
    high += kStep;
    if (high > sizeof arena) port_fail("TFLM: Invoke failed");
  }
  while (port_read() != '\n') {
  }
  reply_ok("arena");
  reply_number("bytes", static_cast<uint32_t>(high));
  reply_number("used", static_cast<uint32_t>(used));
  reply_end();
  return 0;
}
