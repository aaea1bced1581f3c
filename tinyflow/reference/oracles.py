"""Which oracle answers are compared with, and where two runs differ first."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from tinyflow.compile.artefact import CompiledModel
from tinyflow.compile.tflite import parse_tflite
from tinyflow.extras import install_command, installed
from tinyflow.reference import kernels, oracle
from tinyflow.version import __version__


class Oracle(Protocol):
    """Who knows the answers: one of the modules ``oracle`` (TFLM's interpreter) and ``kernels`` (our definition)."""

    NAME: str

    @property
    def version(self) -> Callable[[], str]: ...

    @property
    def invoke(self) -> Callable[[Path, np.ndarray], np.ndarray]:
        """int8 (N, *input shape without batch) -> int8 (N, *output shape without batch)."""

    @property
    def layer_outputs(self) -> Callable[[Path, np.ndarray, tuple[int, ...]], dict[int, np.ndarray]]:
        """Tensor index in the file -> its value after one inference, of those asked for that it has."""


def best() -> Oracle:
    """TFLM's own interpreter where it is installed, else our reference kernels."""
    return oracle if installed("tflite_micro") else kernels


def note(by: Oracle) -> str:
    """What a result should say of an oracle that is not TFLM's; else empty."""
    if by is oracle:
        return ""
    return f"compared with {kernels.NAME}; [oracle] adds TFLM's own interpreter: {install_command('oracle')}"


@dataclass(frozen=True)
class Difference:
    """The first element of the first layer, in order, where two runs differ."""

    row: int
    layer: int
    kind: str
    name: str
    element: tuple[int, ...]
    ours: float
    oracle: float
    version: str  # of the oracle

    def __str__(self) -> str:
        return (
            f"row {self.row}, layer {self.layer} {self.kind} {self.name!r}, element {list(self.element)}: "
            f"ours {self.ours:g}, oracle {self.oracle:g}; tinyflow {__version__} against {self.version}"
        )


def first_difference(
    compiled: CompiledModel, row: int, x: np.ndarray, ours: list[np.ndarray], by: Oracle
) -> Difference | None:
    """Compares every layer's output for one input with ``by``'s. ours: by layer, in the shapes of the layers."""
    # Passes append others, and no oracle knows them.
    known = {
        index for op in parse_tflite(compiled.tflite.read_bytes(), compiled.tflite.name).ops for index in op.outputs
    }
    expected = by.layer_outputs(
        compiled.tflite, x, tuple(layer.tensor for layer in compiled.layers if layer.tensor in known)
    )
    for layer, mine in zip(compiled.layers, ours):
        if layer.tensor not in expected:
            continue
        theirs = expected[layer.tensor].reshape(mine.shape)
        wrong = np.argwhere(mine != theirs)
        if len(wrong):
            at = tuple(int(i) for i in wrong[0])
            return Difference(
                row, layer.index, layer.kind, layer.name, at, float(mine[at]), float(theirs[at]), by.version()
            )
    return None
