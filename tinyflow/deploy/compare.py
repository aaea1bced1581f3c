"""Both runtimes side by side on one board: what each takes, operator by operator, and that they agree bit for bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tinyflow.artefacts import write_json
from tinyflow.compile.artefact import Layer
from tinyflow.deploy.artefact import Firmware
from tinyflow.deploy.counts import Group, Profile, Side, SideBySide
from tinyflow.deploy.image.linkmap import CLIPS
from tinyflow.deploy.profile import profile
from tinyflow.deploy.run import run_rows
from tinyflow.deploy.target import Target
from tinyflow.extras import without
from tinyflow.progress import Progress, silent
from tinyflow.results import to_json

COMPARISON = "comparison.json"
RUNTIMES = ("aot", "tflm")
ROWS = 8  # of random input, answered by both


def compare_runtimes(
    target: Target,
    tflm: Firmware | None,
    out: Path | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> SideBySide:
    """Profiles both firmwares of a network at one place and gives both the same random rows of ``seed``.

    target: the generated C's. tflm: the interpreter's firmware of the same network; None for the board host, where
    tflite_micro plays its part: arena, operators and answers, and nothing is counted.
    out: a folder that gets comparison.json, comparison.png and each runtime's own profile. Errors: those of profile().
    """
    aot, compiled = target.firmware, target.compiled
    if tflm is None:
        from tinyflow.reference import oracle

        oracle.version()  # is it there?
    x = np.random.default_rng(seed).integers(-128, 128, (ROWS, *compiled.input.shape[1:]), dtype=np.int8)
    ours, _ = run_rows(target, x, progress)
    if tflm is None:
        result = _on_host(target, x, ours)
    else:
        other = replace(target, firmware=tflm)
        profiles = [
            profile(side, None if out is None else out / side.firmware.runtime, progress) for side in (target, other)
        ]
        theirs, _ = run_rows(other, x, progress)
        counts = [{layer.index: layer.units for layer in item.layers} for item in profiles]
        result = SideBySide(
            board=target.board.name,
            place=profiles[0].place,
            emulator=profiles[0].emulator,
            model=compiled.name,
            unit=profiles[0].unit,
            aot=_side(profiles[0], aot, "generated C"),
            tflm=_side(profiles[1], tflm, tflm.library),
            operators=pair(compiled.layers, tflm.operators, *counts),
            rows=ROWS,
            equal=_equal(ours, theirs),
            profiles={item.runtime: item for item in profiles},
            notes=tuple(dict.fromkeys(note for item in profiles for note in item.notes)),
        )
    if out is not None:
        from tinyflow.deploy.pictures import COMPARISON as PICTURE
        from tinyflow.deploy.pictures import comparison_figure

        if left_out := without("matplotlib", "pictures"):
            (out / PICTURE).unlink(missing_ok=True)
            result = replace(result, notes=tuple(dict.fromkeys((*result.notes, left_out))))
        else:
            comparison_figure(result, out / PICTURE)
        write_json(out / COMPARISON, to_json(result))
    return result


def _side(counted: Profile, firmware: Firmware, by: str) -> Side:
    flash = counted.sizes.flash_bytes - counted.sizes.groups.get(CLIPS, 0)
    return Side(
        firmware.runtime, by, counted.invoke_units, flash, firmware.model_bytes, counted.sizes.ram_bytes,
        firmware.arena_bytes, counted.stack_bytes, len(counted.layers),
    )  # fmt: skip


def _on_host(target: Target, x: np.ndarray, ours: np.ndarray) -> SideBySide:
    from tinyflow.deploy.tflm.source import operators
    from tinyflow.deploy.tflm.wheel import arena_need
    from tinyflow.reference import oracle

    compiled = target.compiled
    theirs = operators(compiled.tflite)
    return SideBySide(
        board=target.board.name,
        place="host",
        emulator="",
        model=compiled.name,
        unit="",
        aot=Side(
            "aot",
            "generated C",
            None,
            None,
            compiled.model_bytes,
            None,
            compiled.arena_bytes,
            None,
            len(compiled.layers),
        ),
        tflm=Side(
            "tflm",
            oracle.version(),
            None,
            None,
            compiled.tflite.stat().st_size,
            None,
            arena_need(compiled),
            None,
            len(theirs),
        ),
        operators=pair(compiled.layers, theirs, {}, {}),
        rows=len(x),
        equal=_equal(ours, oracle.invoke(compiled.tflite, x)),
        profiles={},
        notes=(
            (
                "nothing is counted on this machine: take an emulated board for instructions, flash and stack"
                " (docs/tflm.md)"
            ),
            (
                "TFLM's arena is tflite_micro's need here: pointers of 64 bits and an allocator that records; on a"
                " Cortex-M it is less"
            ),
        ),
    )


def _equal(ours: np.ndarray, theirs: np.ndarray) -> int:
    return int((ours == theirs.reshape(ours.shape)).reshape(len(ours), -1).all(axis=1).sum())


def pair(
    layers: tuple[Layer, ...], operators: tuple[Layer, ...], counted: dict[int, int], counted_tflm: dict[int, int]
) -> tuple[Group, ...]:
    """The compiler's layers beside the file's operators, in the file's order, cut where both have computed the same
    tensor.

    counted: units by index, of each. What one side does on the way to a tensor is that tensor's; what comes after the
    last one, its.
    """
    common = {layer.tensor for layer in layers} & {operator.tensor for operator in operators} or {-1}

    def cut(items: tuple[Layer, ...]) -> dict[int, list[Layer]]:
        groups: dict[int, list[Layer]] = {}
        waiting: list[Layer] = []
        for item in items:
            waiting.append(item)
            if item.tensor in common:
                groups[item.tensor] = groups.get(item.tensor, []) + waiting
                waiting = []
        last = next(reversed(groups), -1)
        return {**groups, last: groups.get(last, []) + waiting}

    ours, theirs = cut(layers), cut(operators)

    def units(items: list[Layer], counts: dict[int, int]) -> int | None:
        return sum(counts[item.index] for item in items) if counts else None

    return tuple(
        Group(
            tuple(item.kind for item in ours[tensor]),
            tuple(item.kind for item in group),
            group[-1].name,
            sum(item.macs for item in group),
            units(ours[tensor], counted),
            units(group, counted_tflm),
        )
        for tensor, group in theirs.items()
    )
