"""Small int8 networks, compiled as users' are, for the tests of deploy/: with and without a front end."""

from pathlib import Path

import numpy as np
from tflite_builder import Builder

from tinyflow.compile.artefact import CompiledModel, load_compiled
from tinyflow.frontend.protocol import FrontEnd

LABELS = ("yes", "no", "stop", "unknown")


def small_network(
    shape: tuple[int, int, int] = (49, 40, 1),
    classes: int = len(LABELS),
    channels: int = 4,
    seed: int = 0,
    wide: bool = False,
) -> bytes:
    """Convolution 3x3/2, depthwise 3x3, mean (unless ``wide``), fully connected, softmax; weights of ``seed``."""
    rng = np.random.default_rng(seed)
    builder = Builder()

    def weights(size, fan_in, axis=0):
        scales = rng.uniform(0.5, 1.0, size[axis]) / (64 * np.sqrt(fan_in))
        return builder.const(rng.integers(-127, 128, size), "int8", scales, 0, axis)

    def bias(count, weight, source):
        scale = builder.tensors[weight].quantization.scale * np.float32(source)
        return builder.const(rng.integers(-200, 200, count), "int32", scale)

    height, width, depth = shape
    down = -(-height // 2), -(-width // 2)
    scale = 0.04
    x = builder.tensor((1, *shape), scale, -3)
    w = weights((channels, 3, 3, depth), 9 * depth)
    y = builder.tensor((1, *down, channels), scale, -128)
    builder.op(
        "CONV_2D",
        [x, w, bias(channels, w, scale)],
        [y],
        "Conv2DOptions",
        padding="SAME",
        strideH=2,
        strideW=2,
        dilationHFactor=1,
        dilationWFactor=1,
        activation="RELU",
    )
    w = weights((1, 3, 3, channels), 9, axis=3)
    z = builder.tensor((1, *down, channels), scale, -11)
    builder.op(
        "DEPTHWISE_CONV_2D",
        [y, w, bias(channels, w, scale)],
        [z],
        "DepthwiseConv2DOptions",
        padding="SAME",
        strideH=1,
        strideW=1,
        dilationHFactor=1,
        dilationWFactor=1,
        depthMultiplier=1,
        activation="NONE",
    )
    if wide:
        features = down[0] * down[1] * channels
    else:
        axes = builder.const(np.array([1, 2]), "int32")
        mean = builder.tensor((1, channels), scale / 2, -5)
        z = builder.op("MEAN", [z, axes], [mean], "ReducerOptions", keepDims=False)
        features = channels
    w = builder.const(rng.integers(-127, 128, (classes, features)), "int8", 0.02 / np.sqrt(features / 4))
    logits = builder.tensor((1, classes), 0.05, 4)
    builder.op(
        "FULLY_CONNECTED",
        [z, w, bias(classes, w, scale if wide else scale / 2)],
        [logits],
        "FullyConnectedOptions",
        activation="NONE",
    )
    output = builder.tensor((1, classes), 1 / 256, -128)
    builder.op("SOFTMAX", [logits], [output], "SoftmaxOptions", beta=1.0)
    return builder.finish([x], [output])


def foreign(folder: Path, **network) -> CompiledModel:
    from tinyflow.compile.foreign import compile_tflite

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "small.tflite").write_bytes(small_network(**network))
    return compile_tflite(folder / "small.tflite", folder / "compiled")


def speaking(folder: Path, config: FrontEnd, audio: np.ndarray) -> CompiledModel:
    """A network behind the front end ``config``, with ``audio`` int16 (N, samples) as its self-test clips."""
    import torch

    from tinyflow.compile.lower import lower
    from tinyflow.frontend.host import HostFrontend
    from tinyflow.frontend.quantize import FeatureQuantization
    from tinyflow.frontend.scaler import Scaler
    from tinyflow.reference import oracle

    folder.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode():
        values = (
            config.module()(torch.from_numpy(audio.astype(np.float32) / 32768)).numpy().reshape(-1, config.features)
        )
    scaler = Scaler(values.mean(0).astype(np.float32), values.std(0).astype(np.float32) + np.float32(0.1))
    quantization = FeatureQuantization.of(scaler, 0.04, -3)
    (folder / "model_int8.tflite").write_bytes(small_network((*config.shape, 1)))
    model = lower(
        folder / "model_int8.tflite", folder, f"speaking {config.name}", labels=LABELS, frontend=config.part(),
        multiplier=tuple(map(float, quantization.multiplier)), offset=tuple(map(float, quantization.offset)),
    )  # fmt: skip
    config.generate(quantization.multiplier, quantization.offset, model.c)
    stored = {"clips": audio, "words": np.array([LABELS[index % len(LABELS)] for index in range(len(audio))])}
    for prefix, fixed in (("", False), ("fixed_", True)):
        features = HostFrontend(model.c, fixed=fixed).features(audio)
        stored |= {f"{prefix}features": features, f"{prefix}answers": oracle.invoke(model.tflite, features[..., None])}
    np.savez(model.selftest, **stored)
    model.write()
    return load_compiled(folder)


MISBEHAVING = """/* SPDX-License-Identifier: Apache-2.0 */
/* Ends in the way that its first input byte names. */
#include "model.h"
#include "model_config.h"

static int8_t arena[MODEL_ARENA_BYTES];
static volatile int zero;
static int *volatile nowhere = (int *)(uintptr_t)0xF0000000u;

static __attribute__((noinline)) int deeper(int depth) {
  volatile int room[64];
  room[depth & 63] = depth;
  return depth < 0 ? 0 : deeper(depth + 1) + room[depth & 63];
}

void model_init(void) {}
int8_t *model_input(void) { return arena; }
const int8_t *model_output(void) { return arena; }
const int8_t *model_arena(void) { return arena; }
void model_invoke_layer(int index) {
  (void)index;
  switch (arena[0]) {
    case 1: __builtin_trap();
    case 2: arena[1] = (int8_t)*nowhere; break;
    case 3: arena[1] = (int8_t)deeper(0); break;
    case 4: arena[1] = (int8_t)(100 / zero); break;
    case 5: for (;;) zero = 0;
    default: break;
  }
}
void model_invoke(void) { model_invoke_layer(0); }
"""


def misbehaving(folder: Path) -> CompiledModel:
    from tinyflow.compile.artefact import Layer, Port

    (folder / "c").mkdir(parents=True)
    (folder / "c" / "model.c").write_text(MISBEHAVING)
    sizes = {"INPUT_BYTES": 8, "OUTPUT_BYTES": 8, "ARENA_BYTES": 8, "LAYERS": 1}
    (folder / "c" / "model_config.h").write_text(
        "".join(f"#define MODEL_{name} {value}\n" for name, value in sizes.items())
    )
    port = Port("x", (1, 8), "int8", 1.0, 0)
    model = CompiledModel(
        folder, "misbehaving", port, port, (Layer(0, "CUSTOM", "x", 0, (1, 8), (1, 8), 0, 0, 8),), 8, 8, 0, 0
    )
    model.write()
    return model
