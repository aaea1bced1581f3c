"""The bit-exact oracle: the pinned tflite_micro wheel, TFLM's interpreter with its reference kernels.

TFLM checks many preconditions with an abort that would take this process along; what we compile passes our own
checks first (tinyflow/compile/operators), so lower a model before asking the oracle about it.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from tinyflow.compile.tflite import parse_tflite
from tinyflow.errors import TinyflowError
from tinyflow.extras import install_command, missing

NAME = "tflite_micro"
NEEDED_FOR = "TFLM's own answers are its interpreter's"
ARENA_BYTES = (4 << 20, 32 << 20, 256 << 20)  # tried in turn: the interpreter does not say whether it lacked memory


def version() -> str:
    """ "tflite-micro <version> (TFLM <commit>)"; the commit as the wheel's own metadata names it."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        found = distribution("tflite-micro")
    except PackageNotFoundError:
        raise missing("tflite_micro", NEEDED_FOR) from None
    commit = re.search(r"built from commit\s*\[([0-9a-f]+)\]", found.read_text("METADATA") or "")
    return f"tflite-micro {found.version} (TFLM {commit.group(1) if commit else 'commit unknown'})"


def _runtime() -> Any:
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ModuleNotFoundError:
        raise missing("tflite_micro", NEEDED_FOR) from None
    except ImportError as error:
        raise TinyflowError(f"the tflite-micro wheel cannot be loaded: {error}", install_command("oracle")) from None
    return runtime


def _interpreter(tflite: Path | str | bytes, preserve: bool) -> Any:
    runtime = _runtime()
    data = tflite if isinstance(tflite, bytes) else Path(tflite).read_bytes()
    config = (
        runtime.InterpreterConfig.kPreserveAllTensors if preserve else runtime.InterpreterConfig.kAllocationRecording
    )
    for arena in ARENA_BYTES:
        try:
            return runtime.Interpreter.from_bytes(data, arena_size=arena + 2 * len(data), intrepreter_config=config)
        except RuntimeError as error:
            reason = error
    raise TinyflowError(f"{version()} refuses the model: {reason}", "its reason is on stderr")


def invoke(tflite: Path | str | bytes, inputs: np.ndarray) -> np.ndarray:
    """int8 (N, *input shape without batch) -> int8 (N, *output shape without batch), by TFLM."""
    interpreter = _interpreter(tflite, preserve=False)
    inputs = np.asarray(inputs)
    shape = tuple(int(size) for size in interpreter.get_input_details(0)["shape"])
    if inputs.dtype != np.int8 or (len(inputs) and inputs[0].size != int(np.prod(shape))):
        raise TinyflowError(
            f"the model takes int8 {list(shape)}, not {inputs.dtype} {list(inputs.shape[1:])} per row",
            "quantise and reshape the input",
        )
    answers = []
    for row in inputs:
        interpreter.set_input(row.reshape(shape), 0)
        interpreter.invoke()
        answers.append(np.array(interpreter.get_output(0)))
    size = tuple(int(size) for size in interpreter.get_output_details(0)["shape"])
    return np.array(answers, np.int8).reshape(len(inputs), *size[1:])


def layer_outputs(
    tflite: Path | str | bytes, x: np.ndarray, tensors: tuple[int, ...] | None = None
) -> dict[int, np.ndarray]:
    """Tensor index in the file -> its value after one inference on ``x``, by TFLM.

    tensors: which ones; every operator's outputs by default.
    """
    if tensors is None:
        data = tflite if isinstance(tflite, bytes) else Path(tflite).read_bytes()
        tensors = tuple(index for op in parse_tflite(data, "the model").ops for index in op.outputs)
    interpreter = _interpreter(tflite, preserve=True)
    shape = tuple(int(size) for size in interpreter.get_input_details(0)["shape"])
    interpreter.set_input(np.asarray(x, np.int8).reshape(shape), 0)
    interpreter.invoke()
    return {index: np.array(interpreter.GetTensor(index, 0)["tensor_data"]) for index in tensors}
