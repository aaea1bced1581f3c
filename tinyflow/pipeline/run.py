"""A run: stages in one folder, which of them are up to date, and making those that are not. As make does."""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyflow.artefacts import MANIFEST, Manifest, RunFolder, alone_in, fingerprint, now, sha256, sweep, versions
from tinyflow.errors import TinyflowError
from tinyflow.extras import require
from tinyflow.pipeline.stage import Image, Stage, Step
from tinyflow.progress import Progress, silent
from tinyflow.recipe import Listen

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass
class Run(ABC):
    """What both kinds share: a recipe's run and a foreign model's."""

    folder: RunFolder
    progress: Progress = silent

    @abstractmethod
    def stages(self) -> Sequence[Stage[Any]]:
        """In the order in which they run."""

    @property
    def listen(self) -> Listen:
        """What the firmware's recogniser does unasked."""
        return Listen()

    def parity_audio(self) -> "npt.NDArray[np.int16] | None":
        """Clips for the parity gate, int16 (N, samples); None: there are none."""
        return None

    def said(self) -> dict[str, Any]:
        """What a person wrote that the stages read, for the manifests."""
        return {}

    @property
    def seed(self) -> int | None:
        return None

    def path(self, stage: str, image: Image | None) -> Path:
        if stage == "build":
            if image is None:
                raise TinyflowError("build needs a board", "--board mps2-an386; `tinyflow boards` lists them")
            return self.folder.build(image.board.name, image.runtime)
        return self.folder.root / stage

    def plan(self, target: str, image: Image | None = None) -> list[Step]:
        """What making ``target`` would run, in order, and why. Runs nothing."""
        wanted = {target}
        order: list[Stage[Any]] = []
        for stage in reversed(self.stages()):
            if stage.name in wanted:
                wanted |= set(stage.needs)
                order.insert(0, stage)
        if not order:
            raise TinyflowError(f"no stage {target!r}", f"stages: {', '.join(stage.name for stage in self.stages())}")
        steps: dict[str, Step] = {}
        for stage in order:
            steps[stage.name] = self._step(stage, image, [steps[need] for need in stage.needs])
        return list(steps.values())

    def make(self, target: str, image: Image | None = None) -> list[Step]:
        """Runs what is missing or stale up to ``target``; the steps say what ran, why, and for how long."""
        plan = self.plan(target, image)
        if not any(step.runs for step in plan):
            return self._make(plan, image)
        extras = {stage.name: stage.extra for stage in self.stages() if stage.extra}
        wanting = [step.stage for step in plan if step.runs and step.stage in extras]
        require((extras[name] for name in wanting), f"{' and '.join(wanting)} cannot be made")
        self.folder.root.mkdir(parents=True, exist_ok=True)
        with alone_in(self.folder.root):
            return self._make(plan, image)

    def _step(self, stage: Stage[Any], image: Image | None, needs: list[Step]) -> Step:
        folder = self.path(stage.name, image)
        manifest = Manifest.read(folder)
        last = manifest.seconds if manifest else 0.0
        # also of a stale stage: what is missing should show before hours of training
        part, sources = stage.part(self, image), stage.sources(self, image)
        stale = next((need.stage for need in needs if need.runs), None)
        if stale:
            return Step(stage.name, folder, "", True, f"{stale} runs", last)
        inputs = {need.stage: _outputs(need.folder) for need in needs}
        value = _fingerprint(stage, part, sources, inputs)
        if manifest is None:
            reason = "not finished before" if folder.exists() else "not made yet"
        elif manifest.fingerprint != value:
            reason = self._changes(stage, manifest, sources)
        elif missing := [name for name in manifest.outputs if not (folder / name).is_file()]:
            reason = f"{missing[0]} is gone"
        else:
            return Step(stage.name, folder, value, False, "up to date", last)
        return Step(stage.name, folder, value, True, reason, last)

    def _changes(self, stage: Stage[Any], manifest: Manifest, sources: dict[str, str]) -> str:
        """What differs from when ``stage`` was last made: keys of the recipe, or sources of tinyflow."""
        new, before = _flat(self.said()), _flat(manifest.recipe)
        keys = [key for key in new if self.counts(stage, key) and fingerprint(new[key]) != fingerprint(before.get(key))]
        if keys:
            return f"changed: {_some(keys)}"
        if manifest.sources:
            files = sorted(name for name, _ in set(sources.items()) ^ set(manifest.sources.items()))
            if files:
                return f"changed in tinyflow: {_some(list(dict.fromkeys(files)))}"
        elif sources:
            return "made by a tinyflow that did not note its sources"
        return "its inputs changed"

    def counts(self, stage: Stage[Any], key: str) -> bool:
        """Whether the key of the recipe decides what ``stage`` makes."""
        return key.partition(".")[0] in stage.sections

    def _make(self, plan: list[Step], image: Image | None) -> list[Step]:
        done: list[Step] = []
        for planned in plan:
            stage = next(stage for stage in self.stages() if stage.name == planned.stage)
            needs = [step for step in done if step.stage in stage.needs]
            step = self._step(stage, image, [replace(need, runs=False) for need in needs])
            if not step.runs:
                done.append(step)
                self.progress(stage.name, 0, 0, "up to date")
                continue
            self.progress(stage.name, 0, 0, step.reason)
            (step.folder / MANIFEST).unlink(missing_ok=True)
            sweep(step.folder)
            start = time.monotonic()
            try:
                stage.make(self, image)
            except BaseException:
                self._forget_empty(step.folder)
                raise
            seconds = time.monotonic() - start
            self._seal(stage, step, stage.sources(self, image), seconds, needs)
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

    def _seal(self, stage: Stage[Any], step: Step, sources: dict[str, str], seconds: float, needs: list[Step]) -> None:
        outputs = {
            str(path.relative_to(step.folder)): sha256(path)
            for path in sorted(step.folder.rglob("*"))
            if path.is_file() and not path.name.startswith(".") and path.suffix not in (".log", ".pt")
        }
        Manifest(
            stage=stage.name,
            version=stage.version,
            fingerprint=step.fingerprint,
            inputs={need.stage: _outputs(need.folder) for need in needs},
            outputs=outputs,
            sources=sources,
            recipe=self.said(),
            seed=self.seed,
            seconds=round(seconds, 3),
            finished=now(),
            versions=versions(*stage.packages),
            threads=os.cpu_count() or 0,
        ).write(step.folder)


def _fingerprint(stage: Stage[Any], part: Any, sources: dict[str, str], inputs: dict[str, str]) -> str:
    value = {"stage": stage.name, "version": stage.version, "part": part, "inputs": inputs}
    return fingerprint(value | {"sources": sources} if sources else value)


def _outputs(folder: Path) -> str:
    """One value for all that a finished stage left in ``folder``."""
    manifest = Manifest.read(folder)
    if manifest is None:
        raise TinyflowError(f"{folder / MANIFEST} is gone", "another process deleted it: run the same command again")
    return fingerprint(manifest.outputs)


def _flat(value: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Nested sections to dotted keys, as --set writes them."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flat(item, f"{above}{key}.") if isinstance(item, dict) else {above + key: item}
    return flat


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
