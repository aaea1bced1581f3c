"""TFLite models on this machine with reference kernels: tflite-runtime, or ai-edge-litert where it has no wheel."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from tinyflow.errors import TinyflowError
from tinyflow.extras import missing


def _library() -> Any:
    with contextlib.suppress(ImportError):
        from tflite_runtime import interpreter

        return interpreter
    try:
        from ai_edge_litert import interpreter
    except ImportError:
        raise missing("tflite_runtime", "it, or ai-edge-litert, evaluates converted networks") from None
    return interpreter


class Interpreter:
    """One model with one input and one output, batch 1."""

    def __init__(self, path: Path | str):
        library = _library()
        try:
            self._model = library.Interpreter(
                str(path), experimental_op_resolver_type=library.OpResolverType.BUILTIN_REF, num_threads=1
            )
            self._model.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise TinyflowError(f"{path} is not a TFLite model that runs here: {error}", "compile it again") from None
        inputs, outputs = self._model.get_input_details(), self._model.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise TinyflowError(
                f"{path} has {len(inputs)} inputs and {len(outputs)} outputs", "exactly one of each is supported"
            )
        self.input, self.output = inputs[0], outputs[0]

    @property
    def input_quantization(self) -> tuple[float, int]:
        """(scale, zero point) of the input."""
        return self.input["quantization"]

    def run(self, rows: np.ndarray) -> np.ndarray:
        """``rows`` (N, ...) of the input's type and size, one after the other, to (N, *output shape without batch)."""
        shape, dtype = tuple(self.input["shape"]), self.input["dtype"]
        if rows.dtype != dtype or rows[0].size != np.prod(shape):
            wanted = f"{np.dtype(dtype)} {shape[1:]}"
            raise TinyflowError(f"rows are {rows.dtype} {rows.shape[1:]}, the model takes {wanted}", "match them")
        answers = np.empty((len(rows), *self.output["shape"][1:]), self.output["dtype"])
        for index, row in enumerate(rows):
            self._model.set_tensor(self.input["index"], row.reshape(shape))
            self._model.invoke()
            answers[index] = self._model.get_tensor(self.output["index"])[0]
        return answers
