"""The part of TFLM's firmware on this machine: the tflite_micro wheel, which is its interpreter with reference kernels.

Its arena need is found as on a core, by its own allocator. It is larger there: pointers of 64 bits, and an allocator
that records.
"""

import subprocess
import sys
from pathlib import Path

from tinyflow.compile.artefact import CompiledModel
from tinyflow.errors import TinyflowError

TIMEOUT = 300.0  # seconds


def arena_need(compiled: CompiledModel) -> int:
    """Bytes, a multiple of 16: the smallest arena that tflite_micro's interpreter takes for the model, and in which it
    runs.

    In a process of its own: its interpreter complains of each arena on stderr, and one far too small may end the
    process.
    """
    command = [
        sys.executable,
        "-m",
        "tinyflow.deploy.tflm.wheel",
        str(compiled.tflite),
        str(compiled.arena_bound_bytes),
    ]
    try:
        said = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise TinyflowError(
            f"tflite_micro did not find an arena for {compiled.tflite} in {TIMEOUT:.0f} s", "take a smaller network"
        ) from None
    if said.returncode:
        hint = "`tinyflow doctor` says whether its wheel is there; its operators refuse what they do not compute"
        raise TinyflowError(f"tflite_micro does not run {compiled.tflite}: {said.stderr.strip()[-500:]}", hint)
    return int(said.stdout)


def _bisect(tflite: Path, low: int) -> int:
    """``low``: bytes that are too few, or just enough: every plan's lower bound."""
    import numpy as np
    from tflite_micro.python.tflite_micro import runtime

    data = tflite.read_bytes()

    def runs(arena: int) -> bool:
        try:
            interpreter = runtime.Interpreter.from_bytes(data, arena_size=arena)
        except RuntimeError:
            return False
        interpreter.set_input(np.zeros(interpreter.get_input_details(0)["shape"], np.int8), 0)
        interpreter.invoke()
        return True

    low = low // 16 * 16
    high = 2 * low + 4096
    while not runs(high):
        low, high = high, 2 * high
        if high > 1 << 30:
            raise SystemExit("its interpreter takes it on no arena up to 1 GiB")
    while high - low > 16:
        middle = (low + high) // 32 * 16
        low, high = (low, middle) if runs(middle) else (middle, high)
    return high


if __name__ == "__main__":
    print(_bisect(Path(sys.argv[1]), int(sys.argv[2])))
