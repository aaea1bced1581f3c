"""Instructions of a network and of a front end, estimated by the one table of coefficients (coefficients.json).

instructions of an operator = work * per_work + outputs * per_output + places * per_place, with
  work     multiply-accumulates inside the map (convolutions, fully connected), values compared or added (pools, MEAN)
  outputs  elements written
  places   pixels written, times the inputs of a CONCATENATION
The coefficients were fitted to counted instructions of the portable kernels (benchmarks/coefficients.py): estimates for
the core, compiler and flags that the table names, and no cycles of a board.
"""

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tinyflow.compile.frontend import dct_blocks, dct_folds, fft_radices, filled_samples, mel_groups
from tinyflow.compile.graph import VIEWS, Graph, Op
from tinyflow.errors import TinyflowError
from tinyflow.features.config import MfccConfig

TABLE = Path(__file__).with_name("coefficients.json")
# Instructions of the inner loops of firmware/frontend/fft.c, of one butterfly by its radix and of one pair of bins: of the
# first stage with 4, 3 and 2 inputs that are not zero; without twiddles; with them; where the stride is odd.
FIRST = (36.0, 31.0, 26.0)
PLAIN = {2: 7.0, 3: 30.0, 4: 21.0, 5: 44.0}
TWIDDLED = {2: 11.0, 3: 30.0, 4: 33.0, 5: 66.0}
SINGLE = {**TWIDDLED, 2: 14.0}
BIN = 19.5
MACS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


@cache
def table() -> dict[str, Any]:
    """coefficients.json: "operators", "frontend", "code" and how they were obtained."""
    return json.loads(TABLE.read_text())


def kind(graph: Graph, op: Op) -> str:
    """The row of the table that ``op`` belongs to, such as pointwise, depthwise_5x5_dilated, average_pool."""
    if op.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return op.kind.lower()
    rows, columns = graph.tensor(op.inputs[1]).shape[1:3]
    if op.kind == "CONV_2D":
        return "pointwise" if rows == columns == 1 else f"convolution_{rows}x{columns}"
    return f"depthwise_{rows}x{columns}" + ("_dilated" if op.options["dilation_h"] > 1 else "")


def work(graph: Graph, op: Op) -> np.ndarray:
    """(work, outputs, places) of one operator, float64 (3,); see above."""
    source, output = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
    outputs = math.prod(output)
    places, done = outputs // output[-1], 0
    if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        weights = graph.tensor(op.inputs[1]).shape
        done = _inside(op, source, output, weights[1:3]) * (weights[0] * weights[3] if op.kind == "CONV_2D" else weights[3])
    elif op.kind == "FULLY_CONNECTED":
        done = math.prod(graph.tensor(op.inputs[1]).shape)
    elif op.kind in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
        done = _inside(op, source, output, (op.options["filter_h"], op.options["filter_w"])) * output[3]
    elif op.kind == "MEAN":
        done = math.prod(source)
    elif op.kind == "CONCATENATION":
        places *= len(op.inputs)
    return np.array([done, outputs, places], np.float64)


def macs(graph: Graph) -> int:
    """Multiply-accumulates, nominal (padding counted), as train/count.py counts them."""
    total = 0
    for op in graph.ops:
        if op.kind in MACS:
            weights, output = graph.tensor(op.inputs[1]).shape, graph.tensor(op.outputs[0]).shape
            total += math.prod(weights) * (math.prod(output[1:3]) if len(output) == 4 else 1)
    return total


def operator_instructions(graph: Graph, op: Op) -> float:
    """Estimated instructions of one operator; what is only a place in the memory plan costs nothing."""
    return 0.0 if op.kind in VIEWS or op.placed else float(work(graph, op) @ coefficients(kind(graph, op)))


def network_instructions(graph: Graph) -> float:
    """Estimated instructions of one inference."""
    return sum(operator_instructions(graph, op) for op in graph.ops)


@cache
def coefficients(name: str) -> np.ndarray:
    """(per_work, per_output, per_place) of a row of the table."""
    rows = table()["operators"]
    if name not in rows:
        raise TinyflowError(f"{TABLE.name} has no operator {name!r}", "measure it: python benchmarks/coefficients.py")
    return np.array([rows[name][key] for key in ("per_work", "per_output", "per_place")])


def frontend_work(config: MfccConfig) -> dict[str, float]:
    """What one frame consists of, by step and by the names of the table's front-end coefficients."""
    half = config.n_fft // 2
    inner, groups, stride = BIN * (half // 2), 0, 1
    for radix in fft_radices(half):
        part = half // radix  # butterflies
        if radix == 4 and stride == 1:
            filled = filled_samples(config) // 2
            counts = max(0, filled - 3 * part), min(filled, 3 * part) - 2 * part
            inner += FIRST[0] * counts[0] + FIRST[1] * (counts[1] - counts[0]) + FIRST[2] * (part - counts[1])
        else:
            plain = stride if stride % 2 == 0 else 0  # those without twiddles
            inner += PLAIN[radix] * plain + (TWIDDLED if plain else SINGLE)[radix] * (part - plain)
            groups += part // stride
        stride *= radix
    folds = dct_folds(config)
    blocks = dct_blocks(config, folds)
    return {
        "window.frame": 1,
        "window.sample": config.window,
        "fft.frame": 1,
        "fft.zero": filled_samples(config) - config.window,
        "fft.inner": inner,
        "fft.group": groups,
        "mel.frame": 1,
        "mel.block": len(mel_groups(config)[1]),
        "mel.band": config.n_mels,
        "log.frame": 1,
        "log.band": config.n_mels,
        "dct.frame": 1,
        "dct.fold": sum(config.n_mels >> (fold + 1) for fold in range(folds)),
        "dct.output": sum(rows for rows, _ in blocks),
        "dct.block": sum(rows * columns for rows, columns in blocks),
        "quantize.frame": 1,
        "quantize.coefficient": config.n_mfcc,
    }


@cache
def frontend_instructions(config: MfccConfig) -> float:
    """Estimated instructions of the front end per second of audio."""
    per = table()["frontend"]["coefficients"]
    return config.frames() * sum(per[name] * count for name, count in frontend_work(config).items())


def _inside(op: Op, source: tuple[int, ...], output: tuple[int, ...], kernel: tuple[int, ...]) -> int:
    """Pairs of an output pixel and a filter tap that lie inside the map."""
    taps = []
    for axis, (letter, side) in enumerate((("h", "top"), ("w", "left"))):
        step, dilation = op.options[f"stride_{letter}"], op.options.get(f"dilation_{letter}", 1)
        places = np.arange(output[1 + axis])[:, None] * step - op.options[f"pad_{side}"] + np.arange(kernel[axis]) * dilation
        taps.append(int(((places >= 0) & (places < source[1 + axis])).sum()))
    return taps[0] * taps[1]
