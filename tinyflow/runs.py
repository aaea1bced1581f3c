"""The run folders on disk: listing and deleting them."""

import shutil
from pathlib import Path
from typing import Any

from tinyflow.artefacts import MANIFEST, Manifest, read_json
from tinyflow.errors import TinyflowError

STAGES = ("data", "search", "train", "compile", "build", "profile", "report")


def list_runs(runs: Path) -> list[dict[str, Any]]:
    """One entry per run folder: name, bytes on disk, finished stages with their seconds, and figures found."""
    if not runs.is_dir():
        return []
    found = []
    for root in sorted(path for path in runs.iterdir() if path.is_dir() and not path.name.startswith(".")):
        manifests = {str(path.parent.relative_to(root)): Manifest.read(path.parent) for path in sorted(root.rglob(MANIFEST))}
        entry: dict[str, Any] = {
            "name": root.name,
            "folder": str(root),
            "bytes": sum(path.stat().st_size for path in root.rglob("*") if path.is_file()),
            "stages": {stage: {"seconds": item.seconds, "finished": item.finished} for stage, item in manifests.items()},
            "accuracy": {},
        }
        if (root / "compile" / "compiled.json").is_file():
            entry["accuracy"] = read_json(root / "compile" / "compiled.json").get("accuracy", {})
        found.append(entry)
    return found


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
            shutil.rmtree(target)
    return {"deleted": yes, "folders": [str(target) for target in targets], "bytes": size}
