"""Stage: where instructions (or cycles), flash, arena and stack of a firmware go, from the running firmware itself."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tinyflow.artefacts import atomic_path, sha256, write_json
from tinyflow.board import Board, Counter
from tinyflow.compile.artefact import CompiledModel
from tinyflow.deploy.artefact import Firmware
from tinyflow.deploy.counts import FrontendCount, LayerCount, Profile, StepCount
from tinyflow.deploy.estimate import estimate_time
from tinyflow.deploy.image.sizes import Sizes, measure
from tinyflow.deploy.places.place import Place
from tinyflow.deploy.target import Target
from tinyflow.errors import TinyflowError
from tinyflow.extras import without
from tinyflow.progress import Progress, silent
from tinyflow.results import to_json

PROFILE = "profile.json"
AGREEMENT = 0.005  # the layers' sum lies this near to the invoke total


def profile(
    target: Target,
    out: Path | None = None,
    progress: Progress = silent,
    estimate: Board | None = None,
) -> Profile:
    """Counts every layer and front-end step of ``target``, and measures its image.

    The input is the first self-test clip when the model has one, else zeros. out: a folder that gets profile.json,
    layers.png, frontend.png, flash.png and arena.png. estimate: a real board to estimate the time of; without,
    the target's own when it has an estimate and instructions were counted. Errors: those of connect() and
    estimate_time(), and a firmware that is not of ``compiled``.
    """
    from tinyflow.deploy.device import connect

    firmware, compiled, board = target.firmware, target.compiled, target.board
    task = f"profile on {board.name}"
    progress(task, 0, 3, "counting")
    features, audio = _clip(compiled)
    with connect(firmware, target.place) as device:
        counted = device.profile(features, audio if compiled.frontend else None)
        said = device.hello_line
    if len(counted["layers"]) != len(firmware.operators or compiled.layers):
        raise TinyflowError(
            f"{firmware.elf} counts {len(counted['layers'])} layers, {compiled.folder} has"
            f" {len(firmware.operators or compiled.layers)}",
            f"tinyflow build --board {board.name} --runtime {firmware.runtime}",
        )
    progress(task, 1, 3, "measuring")
    result = _profile(firmware, target.place, compiled, counted, said, measure(firmware.elf))
    estimate = estimate or (board if board.estimate and result.unit == "instructions" else None)
    if estimate is not None:
        result = replace(result, estimate=estimate_time(result, board, estimate))
    progress(task, 2, 3, "drawing")
    if out is not None:
        result = write_pictures(result, compiled, out)
        write_json(out / PROFILE, to_json(result))
    per_mac = f", {result.units_per_mac:.2f} per MAC" if result.units_per_mac else ""
    progress(task, 3, 3, f"{result.invoke_units:,} {result.unit} per inference{per_mac}")
    return result


def _clip(compiled: CompiledModel) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Features int8 and samples int16 of the first self-test clip."""
    if not compiled.selftest.is_file():
        return None, None
    with np.load(compiled.selftest) as clips:
        features = (
            clips["features"][0].astype(np.int8).ravel() if "features" in clips and len(clips["features"]) else None
        )
        audio = clips["clips"][0].astype(np.int16) if "clips" in clips and len(clips["clips"]) else None
    return features, audio


def _profile(
    firmware: Firmware,
    place: Place,
    compiled: CompiledModel,
    counted: dict[str, Any],
    said: dict[str, Any],
    sizes: Sizes,
) -> Profile:
    unit, resolution = counted["unit"], counted["resolution"]
    units = [layer["units"] for layer in counted["layers"]]
    total, invoke = sum(units), counted["invoke"]["units"]
    layers = tuple(
        LayerCount(
            layer.index,
            layer.kind,
            layer.name,
            layer.input_shape,
            layer.output_shape,
            layer.macs,
            count,
            count / layer.macs if layer.macs else None,
            count / total if total else 0.0,
            layer.kernels,
            layer.in_place,
            layer.scratch,
        )
        for layer, count in zip(firmware.operators or compiled.layers, units)
    )
    difference = (total - invoke) / invoke if invoke else 0.0
    notes = [f"counted: {unit} of {counted['counter']}, resolution {resolution}"]
    if place.counter.note:
        notes.append(place.counter.note)
    if firmware.library:
        notes.append(f"the network runs in {firmware.library}; the arena is the smallest that its allocator accepts")
    if abs(difference) > AGREEMENT:
        rounding = len(units) * resolution / invoke if invoke else 0.0
        notes.append(
            f"the layers sum to {total:,} {unit}, {difference:+.2%} from the invoke total of {invoke:,}: beyond"
            f" {AGREEMENT:.1%}"
            + (f" (the counter's resolution alone allows {rounding:.2%})" if rounding > AGREEMENT else "")
        )
    if said.get("warning"):
        notes.append(f"the firmware warns: {said['warning']}")
    return Profile(
        board=place.board.name,
        place=place.where,
        emulator=place.emulator(),
        runtime=firmware.runtime,
        model=compiled.name,
        model_sha256=sha256(compiled.tflite) if compiled.tflite.is_file() else "",
        accuracy=compiled.accuracy,
        build_id=firmware.build_id,
        unit=unit,
        counter=counted["counter"],
        counter_note=place.counter.note,
        resolution=resolution,
        invoke_units=invoke,
        macs=compiled.macs,
        layers=layers,
        layers_units=total,
        layers_difference=difference,
        layers_agree=abs(difference) <= AGREEMENT,
        frontend=_frontend(counted["frontend"], said) if counted["frontend"] else None,
        stack_bytes=counted["stack_bytes"],
        stack_reserved_bytes=firmware.stack_reserved_bytes,
        arena_bytes=firmware.arena_bytes,
        arena_bound_bytes=0 if firmware.operators else compiled.arena_bound_bytes,
        sizes=sizes,
        compiler=firmware.compiler,
        flags=firmware.flags,
        milliseconds=_milliseconds(place.counter, counted["invoke"]),
        notes=tuple(notes),
    )


def _milliseconds(counter: Counter, count: dict[str, int]) -> float | None:
    """Time of a count, where the unit is time or cycles; instructions are not time."""
    if counter.unit == "instructions" or not counter.frequency_hz:
        return None
    return 1000 * count["ticks"] / counter.frequency_hz


def _frontend(counted: dict[str, Any], said: dict[str, Any]) -> FrontendCount:
    seconds = said["clip_samples"] / said["sample_rate"]
    frames, steps = counted["frames"], counted["steps"]
    total = sum(step["units"] for step in steps.values())
    return FrontendCount(
        frames=frames,
        seconds=seconds,
        units=counted["units"],
        units_per_second=counted["units"] / seconds,
        frame_units=counted["frame"]["units"],
        steps=tuple(
            StepCount(name, step["units"], step["units"] * frames / seconds, step["units"] / total if total else 0.0)
            for name, step in steps.items()
        ),
        stack_bytes=counted["stack_bytes"],
    )


def write_pictures(result: Profile, compiled: CompiledModel, out: Path) -> Profile:
    """layers.png, frontend.png and flash.png; arena.png is the compiler's own picture of its plan over time.

    Without matplotlib none, not even an earlier profile's, and a note that says so.
    """
    from tinyflow.deploy.pictures import PICTURES, flash_figure, frontend_figure, layers_figure

    if left_out := without("matplotlib", "pictures"):
        for name in PICTURES:
            (out / name).unlink(missing_ok=True)
        return replace(result, notes=(*result.notes, left_out))
    by = f"{result.emulator or result.place}, {result.compiler}"
    how = f"{result.model} on {result.board}: {result.invoke_units:,} {result.unit} per inference (counted)\n{by}"
    layers_figure(result.layers, result.unit, how, out / "layers.png")
    if frontend := result.frontend:
        how = (
            f"front end on {result.board}: {frontend.units_per_second:,.0f} {result.unit} per second of audio"
            f" (counted)\n{by}"
        )
        frontend_figure(frontend, result.unit, how, out / "frontend.png")
    flash_figure(
        result.sizes,
        f"{result.model} on {result.board}: {result.sizes.flash_bytes:,} B of flash (measured)",
        out / "flash.png",
    )
    plan = compiled.folder / "arena.png"
    if plan.is_file() and result.arena_bound_bytes:
        with atomic_path(out / "arena.png") as temporary:
            shutil.copyfile(plan, temporary)
    return result
