"""The registry: of each kind of operator one fact sheet, registered beside its lowering.

Whoever must know something about an operator (the reader, the passes, the memory plan, the cost model, the
documentation) asks its sheet; a pass that is about one very kind names it by ``named``. A sheet with a fact missing or
against another, a kind registered twice, and a name that nobody registered fail when the package is imported.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, Flag, auto
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.lowering.step import Step
from tinyflow.compile.needs import Needs
from tinyflow.compile.operators.axes import Renaming
from tinyflow.compile.schema import Options
from tinyflow.errors import TinyflowError


class Trait(Flag):
    """What a pass may ask of an operator besides."""

    NONE = 0
    VIEW = auto()  # the same bytes under another shape: the memory plan's alone, no code
    INTERNAL = auto()  # ours: no file contains it
    CONVOLUTION = auto()  # a window over an NHWC map with weights: reads the zero point outside the map
    POOL = auto()  # a window without weights: looks at what is inside only
    PADS = auto()  # writes a value around its input
    FUSES_ACTIVATION = auto()  # clamps its result to a fused activation
    ACTIVATION = auto()  # on one scale it only clamps, as the fused activation of its name

    WINDOW = CONVOLUTION | POOL


class Channels(Enum):
    """What becomes of the channels of the input, for a network with fewer of them (savings.py)."""

    MADE = auto()  # weights make new ones from all that are there
    KEPT = auto()  # channel i is made from channel i
    REPEATED = auto()  # as KEPT, or each becomes several
    JOINED = auto()  # those of all inputs one after another, where that is the axis
    MIXED = auto()  # nothing of that kind: their number may not change


@dataclass(frozen=True)
class Row:
    """A row of the table in docs/kernels.md; operators with equal rows share one."""

    kernels: str
    supported: str
    refused: str = ""  # by TFLM too


@dataclass(frozen=True, kw_only=True)
class Operator:
    """The fact sheet of one kind. No fact has a default: whoever adds an operator answers every question."""

    kind: str  # the TFLite builtin's name
    options: Options | None  # the schema's table of options, which must be there, for Op.options; None: none is read
    required: int  # inputs that must be there
    maps: int | None  # of the inputs, how many are activations, from the first on; the others are parameters. None: all
    weights: int | None  # input 1 are weights, and this the axis of their output channels; a bias may follow
    lower: Callable[[Graph, Op], Step] | None  # to calls of kernels; None: a view
    needs: Callable[[Graph, Op], Needs]  # what its kernel wants from layouts and the memory plan
    results: Callable[[Graph, Op], NDArray[np.int8]] | None  # (256,): of a function of one int8, for -128 to 127
    evaluate: Callable[[Graph, Op], NDArray[Any]] | None  # its output, of constants, where it only moves values
    keeps_bytes: Callable[[Graph, Op], bool] | None  # whether an output as large as input 0 has its bytes
    renamed: Renaming | None  # on the tensors before the TRANSPOSEs that it reads (passes/transposes.py)
    channels: Channels
    traits: Trait
    row: Row

    def __post_init__(self) -> None:
        view, parametric = self.has(Trait.VIEW), self.weights is not None
        rules = {
            "a name in capitals": self.kind.isupper(),
            "a lowering, unless it is a view": (self.lower is None) == view,
            "an input": self.required >= 1 and (self.maps is None or self.maps >= 1),
            "weights among its inputs": not parametric or (self.required >= 2 and self.maps == 1),
            "weights, if it is a convolution": parametric or not self.has(Trait.CONVOLUTION),
            "no weights, if it is a pool": not (parametric and self.has(Trait.POOL)),
            "options, if it fuses activations or has a window": self.options is not None
            or not self.has(Trait.FUSES_ACTIVATION | Trait.WINDOW),
            "one map, if it is a function of one value": self.results is None or self.maps == 1,
            "256 results, if it may be a fused activation": self.results is not None or not self.has(Trait.ACTIVATION),
            "new channels by weights": parametric or self.channels is not Channels.MADE,
            "a row with its kernels": bool(self.row.kernels),
        }
        for rule, kept in rules.items():
            if not kept:
                raise ValueError(f"operator {self.kind!r} must have {rule}")

    def has(self, trait: Trait) -> bool:
        """Whether it has one of the traits."""
        return bool(self.traits & trait)

    @property
    def view(self) -> bool:
        return self.has(Trait.VIEW)

    def inputs(self, op: Op) -> tuple[int, ...]:
        """Those of ``op`` that are activations."""
        return op.inputs[: self.maps]


OPERATORS: dict[str, Operator] = {}  # by kind, in the order of the documentation


def register(operator: Operator) -> None:
    if operator.kind in OPERATORS:
        raise ValueError(f"operator {operator.kind!r} is registered twice")
    OPERATORS[operator.kind] = operator


def named(kind: str) -> str:
    """``kind``, which must be registered: for those that are about one very kind."""
    if kind not in OPERATORS:
        raise ValueError(f"no operator {kind!r} is registered: {', '.join(sorted(OPERATORS))}")
    return kind


def supported() -> list[str]:
    """The kinds that a file may contain."""
    return sorted(kind for kind, operator in OPERATORS.items() if not operator.has(Trait.INTERNAL))


def facts(op: Op) -> Operator:
    """The sheet of ``op``'s kind."""
    operator = OPERATORS.get(op.kind)
    if operator is None:
        raise TinyflowError(f"{op.kind} is not supported", f"supported: {', '.join(supported())}")
    return operator
