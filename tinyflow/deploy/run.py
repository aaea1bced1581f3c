"""Run: ask a firmware for its self-test, for rows of inputs, or for the word in a recording."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tinyflow.artefacts import atomic_path
from tinyflow.board import Counter
from tinyflow.compile.artefact import CompiledModel
from tinyflow.deploy.answers import ClipTested, Heard, RowsAnswered, SelfTest
from tinyflow.deploy.device import Device, connect
from tinyflow.deploy.target import Target
from tinyflow.errors import TinyflowError
from tinyflow.progress import Progress, silent

TIMEOUT = 300.0  # wall seconds per answer: a large model on a slow emulator


def selftest(target: Target, timeout: float = TIMEOUT) -> SelfTest:
    """Every embedded clip through front end and network on the board, compared there with what compile stored.

    Errors: a firmware without clips.
    """
    firmware, counter = target.firmware, target.place.counter
    if not firmware.clips:
        raise TinyflowError(
            f"{firmware.elf} has no self-test clips (a foreign model, or built with none)",
            "tinyflow validate compares it with tflite_micro; tinyflow run --input X.npy runs rows on it",
        )
    with connect(firmware, target.place, timeout) as device:
        result = device.selftest()
        hello = device.hello_line
    reason = ""
    if not result["passed"]:
        wrong = next(
            clip for clip in result["results"] if clip["feature"] < hello["input"] or clip["answer"] < hello["output"]
        )
        what, at = ("feature", wrong["feature"]) if wrong["feature"] < hello["input"] else ("answer", wrong["answer"])
        reason = f"clip {wrong['clip']} ({wrong['word']}): {what} {at} differs from the stored one"
    facts = result | {"results": tuple(ClipTested(**clip) for clip in result["results"])}
    facts |= _counted(counter, "frontend", result["frontend_units"])
    facts |= _counted(counter, "inference", result["network_units"])
    return SelfTest(board=target.board.name, build_id=firmware.build_id, reason=reason, **facts)


def run_rows(
    target: Target, x: np.ndarray, progress: Progress = silent, timeout: float = TIMEOUT
) -> tuple[np.ndarray, RowsAnswered]:
    """int8 ``x`` (N, *input shape without batch) on the board -> (int8 (N, *output shape without batch), facts).

    Errors: another shape or type, both named.
    """
    firmware, compiled, counter = target.firmware, target.compiled, target.place.counter
    x = compiled.rows(x)
    answers = np.empty((len(x), compiled.output.elements), np.int8)
    ticks: list[int] = []
    stack = 0
    with connect(firmware, target.place, timeout) as device:
        device.infer(x[:1])  # the first run is not counted
        for index, row in enumerate(x):
            answers[index] = device.infer(row)
            ticks += device.ticks
            stack = max(stack, device.stack_bytes)
            progress(f"run on {target.board.name}", index + 1, len(x), f"{device.units(ticks[-1]):,} {counter.unit}")
        facts = RowsAnswered(
            board=target.board.name,
            build_id=firmware.build_id,
            rows=len(x),
            **_counted(counter, "inference", round(sum(ticks) * counter.rate / len(ticks))),
            least=device.units(min(ticks)),
            greatest=device.units(max(ticks)),
            resolution=device.resolution,
            arena_bytes=firmware.arena_bytes,
            flash_bytes=firmware.flash_bytes,
            model_bytes=firmware.model_bytes,
            ram_bytes=firmware.ram_bytes,
            stack_bytes=stack,
            compiler=firmware.compiler,
            flags=firmware.flags,
        )
    return answers.reshape(len(x), *compiled.output.shape[1:]), facts


def hear(target: Target, audio: np.ndarray, timeout: float = TIMEOUT) -> Heard:
    """Which word the board hears in int16 ``audio`` (samples,); features and network are computed there."""
    compiled = target.compiled
    if not compiled.labels:
        raise TinyflowError(
            f"{compiled.name} has no labels: it is a foreign model", "tinyflow run --input X.npy --output Y.npy"
        )
    with connect(target.firmware, target.place, timeout) as device:
        return _heard(device, compiled, audio)


def hear_file(target: Target, wav: Path, timeout: float = TIMEOUT) -> Heard:
    """``hear`` for a recording of any rate, length and number of channels; a longer one is cut to
    its loudest window.
    """
    compiled = target.compiled
    if compiled.frontend is None:
        raise TinyflowError(
            f"{compiled.name} has no front end: it is a foreign model", "tinyflow run --input X.npy --output Y.npy"
        )
    from tinyflow.data.audio import read_wav

    rate = compiled.frontend.sample_rate
    return replace(hear(target, read_wav(wav, rate, rate), timeout), wav=wav)


def _heard(device: Device, compiled: CompiledModel, audio: np.ndarray) -> Heard:
    rows = np.stack([audio, audio])  # counts are from the second run on
    _, answers = device.recognise(rows)
    values = (answers[-1].astype(np.float64) - compiled.output.zero_point) * compiled.output.scale
    best = int(values.argmax())
    front_end = _counted(device.counter, "frontend", device.units(device.frontend_ticks[-1]))
    network = _counted(device.counter, "inference", device.units(device.ticks[-1]))
    return Heard(
        board=device.board.name,
        word=compiled.labels[best],
        score=float(values[best]),
        scores={label: float(value) for label, value in zip(compiled.labels, values)},
        **(front_end | network),
        stack_bytes=device.stack_bytes,
    )


def _counted(counter: Counter, what: str, units: int) -> dict[str, Any]:
    """A count under its honest name: instructions only where instructions were counted."""
    key = "per_inference" if what == "inference" else f"of_{what}"
    return {
        f"instructions_{key}": units if counter.unit == "instructions" else None,
        f"units_{key}": units,
        "unit": counter.unit,
    }


def read_rows(path: Path) -> np.ndarray:
    """An .npy file of rows. TinyflowError when it is none."""
    try:
        rows = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise TinyflowError(f"{path} does not exist", "name an .npy file of int8 rows") from None
    except (ValueError, EOFError, OSError) as error:
        raise TinyflowError(f"{path} is not an .npy array: {error}", "write it with numpy.save") from None
    if not isinstance(rows, np.ndarray):
        raise TinyflowError(f"{path} holds several arrays", "write one array with numpy.save")
    return rows


def write_rows(path: Path, rows: np.ndarray) -> None:
    """``rows`` into the .npy file ``path``, whole or not at all."""
    with atomic_path(path) as temporary:
        with open(temporary, "wb") as file:
            np.save(file, rows)
