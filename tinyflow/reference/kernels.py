"""An oracle of our own, for where TFLM's interpreter is not installed: the reference kernels, plain C99 and built here.

They define the arithmetic, and tests hold them to TFLM's interpreter bit for bit; the kernels of a firmware are others.
"""

import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np

from tinyflow.compile.artefact import CompiledModel
from tinyflow.compile.lower import translate
from tinyflow.reference.hostmodel import HostModel
from tinyflow.version import __version__

NAME = "our reference kernels"


def version() -> str:
    return f"reference kernels of tinyflow {__version__}, in C99 on this machine"


@lru_cache(maxsize=1)
def _built(data: bytes) -> HostModel:
    with tempfile.TemporaryDirectory(prefix="tinyflow-reference-") as folder:
        model = Path(folder) / "model.tflite"
        model.write_bytes(data)
        compiled: CompiledModel = translate(model, Path(folder) / "out", "model", reference=True)[0]
        return HostModel(compiled)


def invoke(tflite: Path, inputs: np.ndarray) -> np.ndarray:
    """int8 (N, *input shape without batch) -> int8 (N, *output shape without batch)."""
    return _built(tflite.read_bytes()).invoke(inputs)


def layer_outputs(tflite: Path, x: np.ndarray, tensors: tuple[int, ...]) -> dict[int, np.ndarray]:
    """Tensor index in the file -> its value after one inference on ``x``; those of ``tensors`` that have a layer."""
    host = _built(tflite.read_bytes())
    assert host.model is not None
    outputs = host.layer_outputs(x)
    return {layer.tensor: value for layer, value in zip(host.model.layers, outputs) if layer.tensor in tensors}
