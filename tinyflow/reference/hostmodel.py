"""A compiled network on the machine we run on: the very C of the device, through ctypes."""

import ctypes
import re
from pathlib import Path

import numpy as np

from tinyflow.artefacts import FIRMWARE, scratch_folder
from tinyflow.compile.artefact import CompiledModel
from tinyflow.errors import TinyflowError
from tinyflow.reference.hostlib import build_host_library

KERNELS = FIRMWARE / "kernels"


class HostModel:
    """Runs a CompiledModel (or a bare c/ folder) on the host.

    kernels: what to link instead of firmware/kernels/*.c (an archive built once, in tests); flags: for the compiler.
    """

    def __init__(self, compiled: CompiledModel | Path, kernels: list[Path] | None = None, flags: tuple[str, ...] = ()):
        self.model = compiled if isinstance(compiled, CompiledModel) else None
        folder = compiled.c if isinstance(compiled, CompiledModel) else Path(compiled)
        config = _config(folder / "model_config.h")
        self.input_bytes, self.output_bytes = config["MODEL_INPUT_BYTES"], config["MODEL_OUTPUT_BYTES"]
        self.layers = config["MODEL_LAYERS"]
        sources = [folder / "model.c", *(sorted(KERNELS.glob("*.c")) if kernels is None else kernels)]
        # a folder of its own: a library is loaded once per path
        self._library = build_host_library(
            sources, [folder, FIRMWARE / "model", KERNELS], scratch_folder(self)[0] / "model.so", flags
        )
        for function in ("model_input", "model_output", "model_arena"):
            getattr(self._library, function).restype = ctypes.c_void_p
        self._library.model_init()

    def _load(self, row: np.ndarray) -> None:
        data = np.ascontiguousarray(row)
        if data.dtype != np.int8 or data.size != self.input_bytes:
            raise TinyflowError(
                f"the model takes {self.input_bytes} int8 per row, not {data.size} {data.dtype}",
                "quantise and reshape the input",
            )
        ctypes.memmove(self._library.model_input(), data.ctypes.data, data.size)

    def invoke(self, x: np.ndarray) -> np.ndarray:
        """int8 (N, *input shape without batch) -> int8 (N, *output shape without batch); (N,
        bytes) for a bare folder.
        """
        x = np.asarray(x)
        shape = self.model.output.shape[1:] if self.model else (self.output_bytes,)
        answers = np.empty((len(x), self.output_bytes), np.int8)
        for row, answer in zip(x, answers):
            self._load(row)
            self._library.model_invoke()
            answer[:] = np.frombuffer(ctypes.string_at(self._library.model_output(), self.output_bytes), np.int8)
        return answers.reshape(len(x), *shape)

    def layer(self, index: int, x: np.ndarray) -> np.ndarray:
        """Output of layer ``index`` for one input, in the layer's output shape, batch included."""
        return self.layer_outputs(x, index + 1)[index]

    def layer_outputs(self, x: np.ndarray, count: int | None = None) -> list[np.ndarray]:
        """Outputs of the first ``count`` layers (all of them by default) for one input, each read as soon as it is
        there.
        """
        if self.model is None:
            raise TinyflowError("a bare c/ folder does not say where its layers lie", "give the CompiledModel")
        self._load(x)
        outputs = []
        for layer in self.model.layers[:count]:
            self._library.model_invoke_layer(layer.index)
            data = ctypes.string_at(self._library.model_arena() + layer.offset, layer.bytes)
            outputs.append(layer.value(data))
        return outputs


def _config(path: Path) -> dict[str, int]:
    try:
        text = path.read_text()
    except OSError as error:
        raise TinyflowError(
            f"cannot read {path}: {error.strerror}", "compile the model first: tinyflow compile"
        ) from None
    return {name: int(value) for name, value in re.findall(r"#define (\w+) (\d+)", text)}
