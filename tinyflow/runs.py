"""The run folders on disk: listing and deleting them."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyflow.artefacts import MANIFEST, Manifest, alone_in, read_json
from tinyflow.errors import TinyflowError

STAGES = ("data", "search", "train", "compile", "build", "profile", "report")


@dataclass(frozen=True)
class FinishedStage:
    seconds: float  # how long it took
    finished: str  # when


@dataclass(frozen=True)
class RunOnDisk:
    """A run folder."""

    name: str
    folder: Path
    bytes: int
    stages: dict[str, FinishedStage]  # by the stage's folder: train, build/nucleo-l4r5zi
    accuracy: dict[str, Any]  # of the test clips, as compile counted it; empty without


@dataclass(frozen=True)
class RunsOnDisk:
    runs: tuple[RunOnDisk, ...]


@dataclass(frozen=True)
class Cleaned:
    deleted: bool  # false: only listed
    folders: tuple[Path, ...]
    bytes: int


def list_runs(runs: Path) -> list[RunOnDisk]:
    """One entry per run folder."""
    if not runs.is_dir():
        return []
    found = []
    for root in sorted(path for path in runs.iterdir() if _is_run(path)):
        manifests = {
            str(path.parent.relative_to(root)): _manifest(path.parent) for path in sorted(root.rglob(MANIFEST))
        }
        stages = {stage: FinishedStage(item.seconds, item.finished) for stage, item in manifests.items() if item}
        compiled = read_json(root / "compile" / "compiled.json") if "compile" in stages else {}
        size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
        found.append(RunOnDisk(root.name, root, size, stages, compiled.get("accuracy", {})))
    return found


def _manifest(folder: Path) -> Manifest | None:
    """None too for a damaged one: its stage is made anew, and its run can be deleted."""
    try:
        return Manifest.read(folder)
    except TinyflowError:
        return None


def _is_run(path: Path) -> bool:
    """Whether stages were made in ``path``, and nothing but stages: no other folder is listed, still less deleted."""
    if not path.is_dir() or path.is_symlink() or path.name.startswith("."):
        return False
    names = [item.name for item in path.iterdir() if not item.name.startswith(".")]
    return bool(names) and all(name in STAGES for name in names)


def clean(runs: Path, names: tuple[str, ...], stage: str | None, yes: bool) -> Cleaned:
    """Deletes (``yes``) or lists run folders; ``stage`` limits it to one stage's folder in each."""
    if stage is not None and stage not in STAGES:
        raise TinyflowError(f"no stage {stage!r}", f"stages: {', '.join(STAGES)}")
    present = {entry.name: entry for entry in list_runs(runs)}
    for name in names:
        if name not in present:
            raise TinyflowError(f"no run {name!r} in {runs}", f"there are: {', '.join(present) or 'none'}")
    targets = [present[name].folder for name in names or present]
    if stage:
        targets = [target / stage for target in targets if (target / stage).is_dir()]
    size = sum(path.stat().st_size for target in targets for path in target.rglob("*") if path.is_file())
    if yes:
        for target in targets:
            with alone_in(target.parent if stage else target):
                shutil.rmtree(target)
    return Cleaned(yes, tuple(targets), size)
