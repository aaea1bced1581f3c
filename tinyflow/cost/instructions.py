"""Instructions of a network and of a front end, estimated by the one table of coefficients (coefficients.json).

instructions of an operator = the sum of its counts (work.py), each times the coefficient of its kind. The coefficients
were fitted to counted instructions of the kernels for cores with DSP instructions (benchmarks/coefficients.py):
estimates for the core, compiler and flags that the table names, and no cycles of a board.
"""

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.operators import OPERATORS, facts
from tinyflow.cost.work import COUNTS, kind, work
from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.c import dct_blocks, dct_folds, fft_radices, filled_samples, mel_groups
from tinyflow.frontend.mfcc.config import MfccConfig

TABLE = Path(__file__).with_name("coefficients.json")
# Instructions of the inner loops of firmware/frontend/fft.c, of one butterfly by its radix and of one pair of bins: of
# the first stage with 4, 3 and 2 inputs that are not zero; without twiddles; with them; where the stride is odd.
FIRST = (36.0, 31.0, 26.0)
PLAIN = {2: 7.0, 3: 30.0, 4: 21.0, 5: 44.0}
TWIDDLED = {2: 11.0, 3: 30.0, 4: 33.0, 5: 66.0}
SINGLE = {**TWIDDLED, 2: 14.0}
BIN = 19.5
MACS = frozenset(kind for kind, operator in OPERATORS.items() if operator.weights is not None)


@cache
def table() -> dict[str, Any]:
    """coefficients.json: "operators", "frontend", "code" and how they were obtained."""
    return json.loads(TABLE.read_text())


def macs(graph: Graph) -> int:
    """Multiply-accumulates, nominal (padding counted), as network/count.py counts them."""
    total = 0
    for op in graph.ops:
        if op.kind in MACS:
            weights, output = graph.tensor(op.inputs[1]).shape, graph.tensor(op.outputs[0]).shape
            total += math.prod(weights) * (math.prod(output[1:3]) if len(output) == 4 else 1)
    return total


def operator_instructions(graph: Graph, op: Op) -> float:
    """Estimated instructions of one operator; what is only a place in the memory plan costs nothing."""
    return 0.0 if facts(op).view or op.placed else float(work(graph, op) @ coefficients(kind(graph, op)))


def network_instructions(graph: Graph) -> float:
    """Estimated instructions of one inference."""
    return sum(operator_instructions(graph, op) for op in graph.ops)


@cache
def coefficients(name: str) -> np.ndarray:
    """A row of the table, one for each of COUNTS."""
    rows = table()["operators"]
    if name not in rows:
        raise TinyflowError(f"{TABLE.name} has no operator {name!r}", "measure it: python benchmarks/coefficients.py")
    return np.array([rows[name].get(f"per_{count}", 0.0) for count in COUNTS])


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
