"""The search operations: all that tinyflow knows of one stands here once, as data.

The derived network (network/module.py), the shape graph (network/shape_graph.py), the supernet (search/operations.py),
the costs and the derivation read it; a new operation made of the parts that are here is one row. Without `none`, which
derivation excludes. darts: Liu et al., 2019. mcu: single depthwise-separable convolutions, depthwise ones along time
(rows are frames) and frequency without a pointwise one, a cheap residual sum.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from tinyflow.errors import TinyflowError


@dataclass(frozen=True)
class Separable:
    """ReLU, depthwise convolution of ``rows`` frames x ``columns`` coefficients, pointwise (or not), batch norm."""

    rows: int
    columns: int
    dilation: int = 1
    pointwise: bool = True


@dataclass(frozen=True)
class Operation:
    """One of: separables (the first has the edge's stride), a pool, a skip. TinyflowError: none of them, or several."""

    name: str
    sets: tuple[str, ...]  # of OPERATION_SETS
    computes: str  # for docs/genotype.md
    separables: tuple[Separable, ...] = ()
    residual: bool = False  # the source is added, through the average pool at stride 2; one separable without pointwise
    pool: Literal["", "max", "average"] = ""  # 3 x 3, padding 1; the average counts its padding
    skip: bool = False  # the source itself; at stride 2 a factorised reduce

    def __post_init__(self) -> None:
        kinds = [bool(self.separables), bool(self.pool), self.skip]
        alone = len(self.separables) == 1 and not self.separables[0].pointwise
        if sum(kinds) != 1 or (self.residual and not alone) or not (self.name and self.sets and self.computes):
            raise TinyflowError(
                f"the search operation {self.name!r} is not described wholly",
                "its sets, what it computes, and one of separables, pool, skip; residual with one depthwise alone",
            )


REGISTRY: dict[str, Operation] = {}


def register(operation: Operation) -> None:
    if operation.name in REGISTRY or operation.name == "none":
        raise TinyflowError(f"the search operation {operation.name!r} is there twice", "give one of them another name")
    REGISTRY[operation.name] = operation


def facts(name: str) -> Operation:
    """TinyflowError: there is no such operation."""
    if name not in REGISTRY:
        near = get_close_matches(str(name), REGISTRY, 1)
        raise TinyflowError(
            f"unknown operation {name!r}", f"did you mean {near[0]!r}?" if near else f"one of {', '.join(REGISTRY)}"
        )
    return REGISTRY[name]


def operations_of(name: str) -> tuple[str, ...]:
    """Names of the operations of a set, in the order in which alpha has them. TinyflowError: there is no such set."""
    found = tuple(operation.name for operation in REGISTRY.values() if name in operation.sets)
    if not found:
        raise TinyflowError(f"unknown operation set {name!r}", f"one of {', '.join(OPERATION_SETS)}")
    return found


def skips(names: Iterable[str]) -> list[int]:
    """Positions in ``names``, among which may be ``none``, of those that pass their source on."""
    return [index for index, name in enumerate(names) if name != "none" and facts(name).skip]


_DARTS, _MCU, _BOTH = ("darts",), ("mcu",), ("darts", "mcu")
for _operation in (
    *(
        Operation(
            f"sep_conv_{k}x{k}",
            _DARTS,
            "twice: ReLU, depthwise k x k, pointwise 1 x 1, batch norm; a stride is in the first",
            (Separable(k, k), Separable(k, k)),
        )
        for k in (3, 5)
    ),
    *(
        Operation(
            f"dil_conv_{k}x{k}",
            _DARTS,
            "ReLU, depthwise k x k with dilation 2, pointwise 1 x 1, batch norm",
            (Separable(k, k, dilation=2),),
        )
        for k in (3, 5)
    ),
    *(
        Operation(
            f"ds_conv_{k}x{k}",
            _MCU,
            "ReLU, depthwise k x k, pointwise 1 x 1, batch norm: half a `sep_conv_kxk`",
            (Separable(k, k),),
        )
        for k in (3, 5)
    ),
    Operation(
        "time_conv_9",
        _MCU,
        "ReLU, depthwise over 9 frames (9 x 1), batch norm",
        (Separable(9, 1, pointwise=False),),
    ),
    Operation(
        "freq_conv_5",
        _MCU,
        "ReLU, depthwise over 5 coefficients (1 x 5), batch norm",
        (Separable(1, 5, pointwise=False),),
    ),
    Operation(
        "residual_conv_3x3",
        _MCU,
        "the source plus: ReLU, depthwise 3 x 3, batch norm; at stride 2 the source goes through the average pool",
        (Separable(3, 3, pointwise=False),),
        residual=True,
    ),
    Operation("max_pool_3x3", _BOTH, "pool with padding 1; the average counts its padding", pool="max"),
    Operation("avg_pool_3x3", _BOTH, "pool with padding 1; the average counts its padding", pool="average"),
    Operation("skip_connect", _BOTH, "the source itself; at stride 2 a factorised reduce", skip=True),
):
    register(_operation)

OPERATION_SETS: dict[str, tuple[str, ...]] = {name: operations_of(name) for name in _BOTH}
OPERATIONS = tuple(dict.fromkeys(OPERATION_SETS["darts"] + OPERATION_SETS["mcu"]))
