"""The stages in order, and which are up to date: make, for speech to firmware.

    data ─▶ search ─▶ train ─▶ compile ─▶ build/<board>       (a recipe without a search section names its genotype)

A stage is skipped when its fingerprint has not changed: its part of the recipe, the artefacts it reads and
its format version. A foreign int8 model enters half-way: compile ─▶ build/<board>.
"""

import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tinyflow.artefacts import (
    FIRMWARE,
    MANIFEST,
    Manifest,
    RunFolder,
    alone_in,
    fingerprint,
    now,
    sha256,
    sweep,
    versions,
)
from tinyflow.board import Board, load_board
from tinyflow.errors import TinyflowError
from tinyflow.network.genotype import Genotype, read_genotype
from tinyflow.progress import Progress, silent
from tinyflow.recipe import Listen, Recipe

NOT_WHAT = (
    "train.device",
    "train.checkpoint_minutes",
    "search.device",
    "search.checkpoint_minutes",
)  # keys that say where and how, not what


@dataclass(frozen=True)
class Stage:
    name: str
    version: int  # of the artefact's format; raised by hand, makes older artefacts stale
    needs: tuple[str, ...]  # stages whose artefacts it reads
    part: Callable[["Run", Board | None], Any]  # what else it depends on, JSON-able
    make: Callable[["Run", Board | None], None]
    packages: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()  # of the recipe that its part reads, to say what changed


@dataclass(frozen=True)
class Step:
    """A stage as planned: whether it must run, and why."""

    stage: str
    folder: Path
    fingerprint: str
    runs: bool
    reason: str
    last_seconds: float  # how long it took when it last ran here; 0: never

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "folder": str(self.folder)}


@dataclass
class Run:
    """One recipe, or one foreign model, in one run folder."""

    folder: RunFolder
    recipe: Recipe | None = None
    tflite: Path | None = None
    progress: Progress = silent
    processes: int = 1  # that share one search
    runtime: str = "aot"  # or tflm: what runs the network in the firmware

    def path(self, stage: str, board: Board | None) -> Path:
        if stage == "build":
            if board is None:
                raise TinyflowError("build needs a board", "--board mps2-an386; `tinyflow boards` lists them")
            return self.folder.build(board.name, self.runtime)
        return self.folder.root / stage

    def genotype(self) -> Genotype:
        """The genotype that was searched for, or the one that the recipe names, with the recipe's overrides; the task's
        labels are filled in when the data is known."""
        assert self.recipe
        network = self.recipe.network
        path = self.folder.search / "genotype.json" if self.recipe.search else self.recipe.resolve(network.genotype)
        if not path.is_file() and not self.recipe.search:
            hint = (
                "network.genotype names a file, relative to the recipe; configs/genotypes/ has three, and `tinyflow"
                " init` writes one"
            )
            raise TinyflowError(f"no genotype at {path}", hint)
        genotype = read_genotype(path)
        return replace(genotype, **_overrides(network))

    def dataset(self):
        from tinyflow.data import load_dataset

        return load_dataset(self.folder.data)

    def stages(self) -> tuple[Stage, ...]:
        if not self.recipe:
            return FOREIGN_STAGES
        return SEARCH_STAGES if self.recipe.search else STAGES

    def plan(self, target: str, board: Board | None = None) -> list[Step]:
        """What making ``target`` would run, in order, and why. Runs nothing."""
        wanted, order = {target}, []
        for stage in reversed(self.stages()):
            if stage.name in wanted:
                wanted |= set(stage.needs)
                order.insert(0, stage)
        if not order:
            raise TinyflowError(f"no stage {target!r}", f"stages: {', '.join(stage.name for stage in self.stages())}")
        steps: dict[str, Step] = {}
        for stage in order:
            steps[stage.name] = self._step(stage, board, [steps[need] for need in stage.needs])
        return list(steps.values())

    def _step(self, stage: Stage, board: Board | None, needs: list[Step]) -> Step:
        folder = self.path(stage.name, board)
        manifest = Manifest.read(folder)
        last = manifest.seconds if manifest else 0.0
        part = stage.part(self, board)  # also of a stale stage: what is missing should show before hours of training
        stale = next((need.stage for need in needs if need.runs), None)
        if stale:
            return Step(stage.name, folder, "", True, f"{stale} runs", last)
        inputs = {need.stage: fingerprint(Manifest.read(need.folder).outputs) for need in needs}
        value = fingerprint({"stage": stage.name, "version": stage.version, "part": part, "inputs": inputs})
        if manifest is None:
            reason = "not finished before" if folder.exists() else "not made yet"
        elif manifest.fingerprint != value:
            reason = self._changes(stage, manifest)
        elif missing := [name for name in manifest.outputs if not (folder / name).is_file()]:
            reason = f"{missing[0]} is gone"
        else:
            return Step(stage.name, folder, value, False, "up to date", last)
        return Step(stage.name, folder, value, True, reason, last)

    def _changes(self, stage: Stage, manifest: Manifest) -> str:
        """Which keys of the recipe differ from those ``stage`` was last made with."""
        new = {} if self.recipe is None else _flat(self.recipe.to_dict())
        before = _flat(manifest.recipe)
        keys = [
            key
            for key in new
            if key.partition(".")[0] in stage.sections
            and key not in NOT_WHAT
            and fingerprint(new[key]) != fingerprint(before.get(key))
        ]
        shown = ", ".join(keys[:4]) + (", ..." if len(keys) > 4 else "")
        return f"changed: {shown}" if keys else "its inputs changed"

    def make(self, target: str, board: Board | None = None) -> list[Step]:
        """Runs what is missing or stale up to ``target``; the steps say what ran, why, and for how long."""
        plan = self.plan(target, board)
        if not any(step.runs for step in plan):
            return self._make(plan, board)
        self.folder.root.mkdir(parents=True, exist_ok=True)
        with alone_in(self.folder.root):
            return self._make(plan, board)

    def _make(self, plan: list[Step], board: Board | None) -> list[Step]:
        done = []
        for planned in plan:
            stage = next(stage for stage in self.stages() if stage.name == planned.stage)
            needs = [step for step in done if step.stage in stage.needs]
            step = self._step(stage, board, [replace(need, runs=False) for need in needs])
            if not step.runs:
                done.append(step)
                self.progress(stage.name, 0, 0, "up to date")
                continue
            self.progress(stage.name, 0, 0, step.reason)
            (step.folder / MANIFEST).unlink(missing_ok=True)
            sweep(step.folder)
            start = time.monotonic()
            try:
                stage.make(self, board)
            except BaseException:
                self._forget_empty(step.folder)
                raise
            seconds = time.monotonic() - start
            self._seal(stage, step, board, seconds, needs)
            done.append(replace(step, last_seconds=seconds))
        return done

    def _forget_empty(self, folder: Path) -> None:
        """A stage that failed before it wrote anything leaves no folders behind."""
        runs = self.folder.root.parent
        for path in (folder, *folder.parents):
            if path == runs.parent or (path.is_dir() and any(path.iterdir())):
                break
            if path.is_dir():
                path.rmdir()

    def _seal(self, stage: Stage, step: Step, board: Board | None, seconds: float, needs: list[Step]) -> None:
        outputs = {
            str(path.relative_to(step.folder)): sha256(path)
            for path in sorted(step.folder.rglob("*"))
            if path.is_file() and not path.name.startswith(".") and path.suffix not in (".log", ".pt")
        }
        Manifest(
            stage=stage.name,
            fingerprint=step.fingerprint,
            inputs={need.stage: fingerprint(Manifest.read(need.folder).outputs) for need in needs},
            outputs=outputs,
            recipe={} if self.recipe is None else self.recipe.to_dict(),
            seed=None if self.recipe is None else self.recipe.train.seed,
            seconds=round(seconds, 3),
            finished=now(),
            versions=versions(*stage.packages),
            threads=os.cpu_count() or 0,
        ).write(step.folder)


def _flat(value: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Nested sections to dotted keys, as --set writes them."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flat(item, f"{above}{key}.") if isinstance(item, dict) else {above + key: item}
    return flat


# --- what each stage depends on, and how it is made -------------------------------------------------------------


def _data_part(run: Run, board: Board | None) -> Any:
    from tinyflow.data import source_fingerprint

    data = asdict(run.recipe.data)
    if data["source"] != "synthetic":
        del data["synthetic"]
    return {"data": data, "source": source_fingerprint(run.recipe.data, Path(run.recipe.base))}


def _make_data(run: Run, board: Board | None) -> None:
    from tinyflow.data import prepare

    prepare(run.recipe.data, Path(run.recipe.base), run.folder.data, run.progress)


def _what(section: str, value: Any) -> dict[str, Any]:
    """A section of the recipe without the keys that say where and how."""
    return {key: item for key, item in asdict(value).items() if f"{section}.{key}" not in NOT_WHAT}


def _overrides(network) -> dict[str, Any]:
    keys = ("channels", "cells", "stem_stride", "architecture")
    return {key: value for key in keys if (value := getattr(network, key)) is not None}


def _search_part(run: Run, board: Board | None) -> Any:
    search = run.recipe.search
    return {
        "search": _what("search", search),
        "board": {**asdict(load_board(search.board)), "folder": ""} if search.board else None,
    }


def _make_search(run: Run, board: Board | None) -> None:
    from tinyflow.search import run_search

    search = run.recipe.search
    run_search(
        run.folder.data,
        search,
        run.folder.search,
        load_board(search.board) if search.board else None,
        run.processes,
        run.progress,
    )


def follow_search(run: Run) -> None:
    """Takes part in a search that torchrun spread over machines, as a process other than the first: that one makes the
    stages, on a disk that all see, and joins the process group when the data is there."""
    if run.plan("search")[-1].runs:
        _make_search(run, None)


def _train_part(run: Run, board: Board | None) -> Any:
    # what a search finds is an input, not a part: it is not known when the stages are planned
    genotype = _overrides(run.recipe.network) if run.recipe.search else run.genotype().to_dict()
    return {"train": _what("train", run.recipe.train), "genotype": genotype}


def _make_train(run: Run, board: Board | None) -> None:
    from tinyflow.train import train_model

    dataset = run.dataset()
    genotype = run.genotype()
    if genotype.labels and genotype.labels != dataset.labels:
        raise TinyflowError(
            f"{run.recipe.network.genotype} is for the labels {list(genotype.labels)}, the data has"
            f" {list(dataset.labels)}",
            "leave the genotype's labels empty to take the task's, or change data.task",
        )
    train_model(
        genotype.with_task(dataset.task, dataset.labels), dataset, run.recipe.train, run.folder.train, run.progress
    )


def _make_compile(run: Run, board: Board | None) -> None:
    from tinyflow.convert import compile_trained
    from tinyflow.train import load_trained

    compile_trained(load_trained(run.folder.train), run.dataset(), run.recipe.compile, run.folder.compile, run.progress)


def _make_foreign(run: Run, board: Board | None) -> None:
    from tinyflow.compile import compile_tflite

    compile_tflite(run.tflite, run.folder.compile, run.progress)


def _build_part(run: Run, board: Board | None) -> Any:
    from tinyflow.deploy.build import compiler_version

    files = [path for root in (FIRMWARE, Path(board.folder)) for path in sorted(root.rglob("*")) if path.is_file()]
    sources = {f"{path.parent.name}/{path.name}": sha256(path) for path in files}
    part = {"board": {**asdict(board), "folder": ""}, "compiler": compiler_version(board), "sources": sources}
    if run.recipe:
        part["listen"] = asdict(run.recipe.listen)
    if run.runtime == "tflm":
        from tinyflow.deploy.tflm.library import find_tflm

        part["tflm"] = find_tflm(board).fingerprint()
    return part


def _make_build(run: Run, board: Board | None) -> None:
    from tinyflow.compile import load_compiled
    from tinyflow.deploy.build import build

    build(
        load_compiled(run.folder.compile),
        board,
        run.path("build", board),
        run.progress,
        runtime=run.runtime,
        listen=run.recipe.listen if run.recipe else Listen(),
    )


_BUILD = Stage("build", 1, ("compile",), _build_part, _make_build, ("cmake", "pyelftools"))
SEARCH_STAGES: tuple[Stage, ...] = (
    Stage("data", 1, (), _data_part, _make_data, ("numpy", "soundfile"), ("data",)),
    Stage("search", 1, ("data",), _search_part, _make_search, ("torch", "torchaudio"), ("search",)),
    Stage("train", 1, ("data", "search"), _train_part, _make_train, ("torch", "torchaudio"), ("train", "network")),
    Stage(
        "compile",
        2,
        ("data", "train"),
        lambda run, board: asdict(run.recipe.compile),
        _make_compile,
        ("torch", "onnx", "tensorflow", "tflite-micro", "tflite-runtime"),
        ("compile",),
    ),
    _BUILD,
)
# A recipe that names its genotype: the same without the search.
STAGES: tuple[Stage, ...] = tuple(
    replace(stage, needs=tuple(need for need in stage.needs if need != "search"))
    for stage in SEARCH_STAGES
    if stage.name != "search"
)
FOREIGN_STAGES: tuple[Stage, ...] = (
    Stage("compile", 2, (), lambda run, board: sha256(run.tflite), _make_foreign, ("tflite-micro",)),
    _BUILD,
)


# --- entering the pipeline --------------------------------------------------------------------------------------


def recipe_run(recipe: Recipe, runs: Path, progress: Progress = silent) -> Run:
    return Run(RunFolder(runs / recipe.name), recipe=recipe, progress=progress)


def foreign_run(tflite: Path, runs: Path, progress: Progress = silent) -> Run:
    """A foreign int8 model: its run folder is named after the file and its content."""
    if not tflite.is_file():
        raise TinyflowError(f"{tflite} does not exist", "name an int8 .tflite file")
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", tflite.stem)  # CMake and shells take it as it is
    return Run(RunFolder(runs / f"{name}-{sha256(tflite)[:8]}"), tflite=tflite, progress=progress)


def make_firmware(run: Run, board_name: str, emulator: str | None = None, port: str | None = None):
    """(Board, CompiledModel, Firmware, steps): everything that run, validate, profile, listen and flash need.

    emulator, port: where it is to run (deploy/places/place.py); the firmware is the same wherever that is.
    """
    from tinyflow.compile import load_compiled
    from tinyflow.deploy.artefact import load_firmware
    from tinyflow.deploy.places.place import place

    board = load_board(board_name)
    there = place(board, emulator, port)  # a place that the board does not have should show before hours of training
    steps = run.make("build", board)
    return there, load_compiled(run.folder.compile), load_firmware(run.path("build", board)), steps
