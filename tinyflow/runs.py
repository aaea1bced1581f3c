"""The run folders on disk: listing and deleting them."""

import shutil
from pathlib import Path
from typing import Any

from tinyflow.artefacts import MANIFEST, Manifest, alone_in, read_json
from tinyflow.errors import TinyflowError

STAGES = ("data", "search", "train", "compile", "build", "profile", "report")


def list_runs(runs: Path) -> list[dict[str, Any]]:
    """One entry per run folder: name, bytes on disk, finished stages with their seconds, and figures found."""
    if not runs.is_dir():
        return []
    found = []
    for root in sorted(path for path in runs.iterdir() if _is_run(path)):
        manifests = {
            str(path.parent.relative_to(root)): _manifest(path.parent) for path in sorted(root.rglob(MANIFEST))
        }
        entry: dict[str, Any] = {
            "name": root.name,
            "folder": str(root),
            "bytes": sum(path.stat().st_size for path in root.rglob("*") if path.is_file()),
            "stages": {
                stage: {"seconds": item.seconds, "finished": item.finished} for stage, item in manifests.items() if item
            },
            "accuracy": {},
        }
        if "compile" in entry["stages"]:
            entry["accuracy"] = read_json(root / "compile" / "compiled.json").get("accuracy", {})
        found.append(entry)
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


def clean(runs: Path, names: tuple[str, ...], stage: str | None, yes: bool) -> dict[str, Any]:
    """Deletes (``yes``) or lists run folders; ``stage`` limits it to one stage's folder in each."""
    if stage is not None and stage not in STAGES:
        raise TinyflowError(f"no stage {stage!r}", f"stages: {', '.join(STAGES)}")
    present = {entry["name"]: entry for entry in list_runs(runs)}
    for name in names:
        if name not in present:
            raise TinyflowError(f"no run {name!r} in {runs}", f"there are: {', '.join(present) or 'none'}")
    targets = [Path(present[name]["folder"]) for name in names or present]
    if stage:
        targets = [target / stage for target in targets if (target / stage).is_dir()]
    size = sum(path.stat().st_size for target in targets for path in target.rglob("*") if path.is_file())
    if yes:
        for target in targets:
            with alone_in(target.parent if stage else target):
                shutil.rmtree(target)
    return {"deleted": yes, "folders": [str(target) for target in targets], "bytes": size}
