"""The run of a foreign int8 model: compile ─▶ build/<board>."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyflow.artefacts import RunFolder, sha256
from tinyflow.errors import TinyflowError
from tinyflow.pipeline import sources
from tinyflow.pipeline.firmware import BUILD
from tinyflow.pipeline.run import Run
from tinyflow.pipeline.stage import Image, Stage
from tinyflow.progress import Progress, silent


@dataclass
class ModelRun(Run):
    """Somebody's .tflite in one run folder."""

    tflite: Path = field(kw_only=True)

    def stages(self) -> Sequence[Stage[Any]]:
        return STAGES


def foreign_run(tflite: Path, runs: Path, progress: Progress = silent) -> ModelRun:
    """A foreign int8 model: its run folder is named after the file and its content."""
    if not tflite.is_file():
        raise TinyflowError(f"{tflite} does not exist", "name an int8 .tflite file")
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", tflite.stem)  # shells take it as it is
    return ModelRun(RunFolder(runs / f"{name}-{sha256(tflite)[:8]}"), progress, tflite=tflite)


def _make_compile(run: ModelRun, image: Image | None) -> None:
    from tinyflow.compile import compile_tflite

    compile_tflite(run.tflite, run.folder.compile, run.progress)


STAGES: tuple[Stage[Any], ...] = (
    Stage(
        "compile",
        version=2,
        needs=(),
        part=lambda run, image: sha256(run.tflite),
        make=_make_compile,
        sources=lambda run, image: sources.of_foreign_compile(),
        packages=("numpy",),
    ),
    BUILD,
)
