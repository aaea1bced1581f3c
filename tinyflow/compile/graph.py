"""Graph: our own small IR of a quantised network. Pure Python and numpy."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Quantization:
    """Affine: real = scale * (q - zero_point). One scale, or one per slice along ``axis``."""

    scale: NDArray[np.float32]  # (1,) or (channels,)
    zero_point: NDArray[np.int32]  # the same shape
    axis: int = 0


def same_scale(first: Quantization | None, second: Quantization | None) -> bool:
    """Whether both quantisations are equal; two unknown ones (networks without weights) are."""
    if first is None or second is None:
        return first is second
    return np.array_equal(first.scale, second.scale) and np.array_equal(first.zero_point, second.zero_point)


@dataclass(frozen=True)
class Tensor:
    name: str
    shape: tuple[int, ...]
    dtype: str  # "int8", "int32", "float32", ...
    quantization: Quantization | None = None
    data: NDArray[Any] | None = None  # constants only
    planar: bool = False  # bytes lie channel after channel (NCHW); ``shape`` stays NHWC (passes/layouts.py)

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.elements * np.dtype(self.dtype).itemsize

    @property
    def constant(self) -> bool:
        return self.data is not None

    @property
    def values(self) -> NDArray[Any]:
        """``data``, where the caller knows that there is some."""
        assert self.data is not None, f"{self.name!r} is no constant"
        return self.data

    @property
    def affine(self) -> Quantization:
        """``quantization``, where the caller knows that there is one."""
        assert self.quantization is not None, f"{self.name!r} has no quantisation"
        return self.quantization

    def alike(self, other: "Tensor") -> bool:
        """Whether equal bytes of the two mean equal values."""
        return self.dtype == other.dtype and same_scale(self.quantization, other.quantization)


@dataclass(frozen=True)
class Op:
    """One operator. ``kind`` is the TFLite builtin's name; inputs and outputs index Graph.tensors (-1: absent)."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)  # e.g. stride_h, dilation_w, padding, activation

    @property
    def placed(self) -> bool:
        """Whether this is a CONCATENATION whose inputs are written where its output wants them (passes): no code."""
        return bool(self.options.get("placed"))


@dataclass(frozen=True)
class Graph:
    """Operators in execution order; shapes are NHWC, bytes too unless a tensor is planar."""

    name: str
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    reference: bool = (
        False  # plain kernels only, those that define the arithmetic: what benchmarks count the fast ones against
    )

    def tensor(self, index: int) -> Tensor:
        return self.tensors[index]


def live(ops: Sequence[Op], outputs: Iterable[int]) -> list[int]:
    """Positions of the operators from which one of the tensors ``outputs`` can be reached, in order."""
    wanted, kept = set(outputs), []
    for position in reversed(range(len(ops))):
        if wanted & set(ops[position].outputs):
            kept.append(position)
            wanted |= set(ops[position].inputs)
    return kept[::-1]
