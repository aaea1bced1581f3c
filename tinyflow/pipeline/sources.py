"""The sources of tinyflow that decide what compile and build make: after an update, what they made before is stale.

Data, search and train are not here: an update must not discard hours of work, so their versions are raised by hand.
"""

from functools import cache
from pathlib import Path

from tinyflow.artefacts import FIRMWARE, sha256
from tinyflow.board import Board
from tinyflow.deploy.image.sources import ImageSources

PACKAGE = Path(__file__).resolve().parents[1]
GENERATES_C = ("compile",)  # of a graph
# a trained network, with its front end, its proofs, and how its calibration clips and its accuracy are had
CONVERTS = ("convert", "frontend", "network", "reference", "objects.py", "train/batches.py", "train/evaluation.py")
BUILDS = ("board", "objects.py") + tuple(
    f"deploy/{name}" for name in ("artefact.py", "build.py", "toolchain.py", "detector.py", "image")
)
AROUND_TFLM = ("deploy/tflm",)
TWINS = ("kernels", "frontend*", "frontend*/*", "model")  # of firmware/: the C that answers the clips on the host


def of_foreign_compile() -> dict[str, str]:
    """What makes C of somebody else's model."""
    return _python(GENERATES_C)


def of_trained_compile() -> dict[str, str]:
    """What makes C of a trained network, and the answers that its self-test clips must have."""
    twins = [path for pattern in TWINS for path in sorted(FIRMWARE.glob(f"{pattern}/*.[ch]"))]
    hashes = {f"firmware/{path.relative_to(FIRMWARE).as_posix()}": _hash(path) for path in twins}
    return _python(GENERATES_C + CONVERTS) | hashes


def of_build(sources: ImageSources, board: Board, runtime: str) -> dict[str, str]:
    """What makes an image: the files in it, and the generators of the rest."""
    return _python(BUILDS + (AROUND_TFLM if runtime == "tflm" else ())) | sources.hashes(board)


def _python(names: tuple[str, ...]) -> dict[str, str]:
    """SHA-256 of the modules and data of packages, or of single modules, of tinyflow."""
    found = []
    for name in names:
        path = PACKAGE / name
        path = path if path.exists() else path.with_suffix(".py")
        found += sorted(path.rglob("*")) if path.is_dir() else [path]
    kept = [path for path in found if path.is_file() and path.suffix != ".pyc"]
    return {f"tinyflow/{path.relative_to(PACKAGE).as_posix()}": _hash(path) for path in kept}


@cache
def _hash(path: Path) -> str:
    """Once a process: it runs the sources that it read when it started."""
    return sha256(path)
