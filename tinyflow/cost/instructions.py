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
from tinyflow.frontend.protocol import FrontEnd

TABLE = Path(__file__).with_name("coefficients.json")
# Instructions of the inner loops of firmware/frontend/fft.c: of one pair of bins; of one butterfly of the first stage
# with 4, 3 and 2 inputs that are not zero; of one by its radix, without twiddles, with them, with them at an odd
# stride.
INNER = {
    "fft.bin": 19.5,
    "fft.first_of_4": 36.0,
    "fft.first_of_3": 31.0,
    "fft.first_of_2": 26.0,
    **{f"fft.plain_{radix}": cost for radix, cost in {2: 7.0, 3: 30.0, 4: 21.0, 5: 44.0}.items()},
    **{f"fft.twiddled_{radix}": cost for radix, cost in {2: 11.0, 3: 30.0, 4: 33.0, 5: 66.0}.items()},
    **{f"fft.single_{radix}": cost for radix, cost in {2: 14.0, 3: 30.0, 4: 33.0, 5: 66.0}.items()},
}
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


def frontend_work(config: FrontEnd) -> dict[str, float]:
    """What one frame consists of, by step and by the names of the table's front-end coefficients. The front end counts;
    the inner loops of its FFT have fixed prices, whose sum the table's coefficient corrects.
    """
    counts = config.work()
    inner = sum(INNER[name] * count for name, count in counts.items() if name in INNER)
    return {name: count for name, count in counts.items() if name not in INNER} | {"fft.inner": inner}


@cache
def frontend_instructions(config: FrontEnd) -> float:
    """Estimated instructions of the front end per second of audio."""
    per, work = table()["frontend"]["coefficients"], frontend_work(config)
    for name in work:
        if name not in per:
            raise TinyflowError(
                f"{TABLE.name} has no coefficient {name!r} of the front end {config.name}",
                "measure it: python benchmarks/coefficients.py",
            )
    return config.frames() * sum(per[name] * count for name, count in work.items())
