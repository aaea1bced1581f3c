"""Validate: the firmware's answers against an oracle, bit for bit, and the parity gate of the front end.

The oracle is TFLM's own interpreter, tflite_micro; where it is not installed, our reference kernels on this machine.

With audio, on the same clips (docs/architecture.md):
(a) features: C on the host = C on the device bit for bit; C against torch at most 1 LSB of int8 in at most 0.1 % of the
values; (b) network on Python's int8 features: bit-exact with the oracle;
(c) network on the device's own features: bit-exact with the oracle on those same features.
"""

from dataclasses import replace

import numpy as np

from tinyflow.compile.artefact import CompiledModel, Layer
from tinyflow.deploy.answers import Agreement, FeatureParity, Parity, Validation
from tinyflow.deploy.device import Device, connect
from tinyflow.deploy.run import TIMEOUT
from tinyflow.deploy.target import Target
from tinyflow.errors import TinyflowError
from tinyflow.progress import Progress, silent
from tinyflow.reference.oracles import Oracle, best, first_difference, note


def validate(
    target: Target,
    x: np.ndarray | None = None,
    n: int = 8,
    seed: int = 0,
    audio: np.ndarray | None = None,
    progress: Progress = silent,
    timeout: float = TIMEOUT,
) -> Validation:
    """Runs ``x`` int8 (N, *input shape without batch), or ``n`` random rows of ``seed``, and int16 ``audio`` (N,
    samples).

    Errors: wrong shapes.
    """
    by = best()
    firmware, compiled = target.firmware, target.compiled
    rows = _rows(compiled, x, n, seed)
    if firmware.runtime != "aot":
        compiled = replace(compiled, layers=())  # they can be read back from our own arena alone
    parity = None
    with connect(firmware, target.place, timeout) as device:
        network = _network(device, compiled, rows, by, progress, "random rows" if x is None else "given rows")
        if audio is not None:
            parity = _parity(device, compiled, audio, by, progress)
    reasons = (network.reason, *(parity.reasons if parity else ()))
    reason = next((reason for reason in reasons if reason), "")
    return Validation(
        board=target.board.name,
        build_id=firmware.build_id,
        model=compiled.name,
        oracle=by.version(),
        compiler=firmware.compiler,
        rows=len(rows),
        equal=network.equal,
        source=f"random, seed {seed}" if x is None else "given",
        passed=not reason,
        reason=reason,
        parity=parity,
        note=note(by) or None,
    )


def _rows(compiled: CompiledModel, x: np.ndarray | None, n: int, seed: int) -> np.ndarray:
    if x is not None:
        return compiled.rows(x)
    if n < 1:
        raise TinyflowError(f"{n} rows to validate", "at least 1")
    return np.random.default_rng(seed).integers(-128, 128, (n, *compiled.input.shape[1:]), dtype=np.int8)


def _network(
    device: Device,
    compiled: CompiledModel,
    rows: np.ndarray,
    by: Oracle,
    progress: Progress,
    what: str,
    answers: np.ndarray | None = None,
) -> Agreement:
    """The device's answers to ``rows`` (computed now, or given) against those of ``by``."""
    if answers is None:
        answers = np.empty((len(rows), compiled.output.elements), np.int8)
        for index, row in enumerate(rows):
            answers[index] = device.infer(row)[0]
            progress(f"validate on {device.board.name}", index + 1, len(rows), what)
    expected = by.invoke(compiled.tflite, rows.reshape(len(rows), *compiled.input.shape[1:])).reshape(answers.shape)
    equal = (answers == expected).all(axis=1)
    reason = (
        ""
        if equal.all()
        else _first_difference(device, compiled, rows, int(np.flatnonzero(~equal)[0]), answers, expected, by)
    )
    return Agreement(not reason, len(rows), int(equal.sum()), f"{what}: {reason}" if reason else "")


def _first_difference(
    device: Device,
    compiled: CompiledModel,
    rows: np.ndarray,
    row: int,
    answers: np.ndarray,
    expected: np.ndarray,
    by: Oracle,
) -> str:
    """The first layer that differs, by running the row up to each layer in turn."""
    at = int(np.flatnonzero(answers[row] != expected[row])[0])
    output = f"row {row}, output {at}: ours {answers[row, at]}, oracle {expected[row, at]}"
    if not compiled.layers:
        return (
            f"{output}; TFLM's interpreter does not keep what its operators compute: tinyflow profile --compare"
            " aot,tflm says which runtime differs"
        )
    ours = [_layer_output(device, layer, rows[row]) for layer in compiled.layers]
    found = first_difference(compiled, row, rows[row], ours, by)
    return f"{output}; every layer run by itself agrees" if found is None else str(found)


def _layer_output(device: Device, layer: Layer, row: np.ndarray) -> np.ndarray:
    data = device.layer(layer.index, row, layer.offset, layer.bytes)
    return layer.value(data)


def _parity(device: Device, compiled: CompiledModel, audio: np.ndarray, by: Oracle, progress: Progress) -> Parity:
    if compiled.frontend is None:
        raise TinyflowError(f"{compiled.name} has no front end: it is a foreign model", "validate it without audio")
    from tinyflow.frontend.host import HostFrontend
    from tinyflow.frontend.parity import compare

    features: list[np.ndarray] = []
    answers: list[np.ndarray] = []
    for index, clip in enumerate(audio):
        for values, value in zip((features, answers), device.recognise(clip[None])):
            values.append(value[0])
        progress(f"parity on {device.board.name}", index + 1, len(audio), "clips")
    on_device = np.array(features)
    on_host = HostFrontend(compiled.c, fixed=not device.board.core.fpu).features(audio).reshape(on_device.shape)
    in_torch = torch_features(compiled, audio).reshape(on_device.shape)
    against_torch = compare(on_host, in_torch)
    identical = int((on_device == on_host).all(axis=1).sum())
    reason = ""
    if identical < len(audio):
        clip, element = np.argwhere(on_device != on_host)[0]
        reason = (
            f"features: clip {clip}, value {element}: device {on_device[clip, element]}, host {on_host[clip, element]}"
        )
    elif not against_torch.passed:
        reason = f"features, C against torch: {against_torch}"
    return Parity(
        FeatureParity(
            passed=not reason,
            clips=len(audio),
            identical_on_device_and_host=identical,
            values=against_torch.values,
            differing_from_torch=against_torch.differing,
            share_differing_from_torch=against_torch.share,
            largest_lsb=against_torch.largest_lsb,
            reason=reason,
        ),
        _network(device, compiled, in_torch, by, progress, "Python's features"),
        _network(device, compiled, on_device, by, progress, "the device's own features", np.array(answers)),
    )


def torch_features(compiled: CompiledModel, audio: np.ndarray) -> np.ndarray:
    """int16 (N, samples) -> int8 (N, frames, features): the reference, torch's features and the stated quantisation."""
    import torch

    from tinyflow.frontend.quantize import FeatureQuantization
    from tinyflow.frontend.registry import front_end_of

    assert compiled.frontend
    module = front_end_of(compiled.frontend.config).module()
    with torch.inference_mode():
        features = module(torch.from_numpy(audio.astype(np.float32) / 32768.0)).numpy()
    multiplier, offset = (np.array(numbers, np.float32) for numbers in (compiled.multiplier, compiled.offset))
    return FeatureQuantization(multiplier, offset).quantize(features)
