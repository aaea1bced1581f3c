"""The files that an image is made of, besides what compile generated: one list, for the compiler, the build id
and the pipeline.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinyflow.artefacts import FIRMWARE, sha256
from tinyflow.board import Board
from tinyflow.errors import TinyflowError
from tinyflow.frontend.host import source_folders, sources

PACKAGE = Path(__file__).resolve().parents[2]
RECIPE = tuple(PACKAGE / "deploy" / name for name in ("image/flags.py", "toolchain.py"))  # how an image is compiled
Program = Literal["model", "probe"]
PROBE = ("base64.c", "crc32.c", "reply.c")  # of app/, what the program that finds TFLM's arena has of it


@dataclass(frozen=True)
class ImageSources:
    """Paths, each group sorted, in the order in which they are linked. ``app`` is compiled for size, the rest for
    speed.
    """

    app: tuple[Path, ...]  # start-up, console, recogniser, microphone
    kernels: tuple[Path, ...]  # none under an interpreter, which brings its own
    frontend: tuple[Path, ...]
    interpreter: tuple[Path, ...]  # C++ around TFLM
    headers: tuple[Path, ...]  # in the folders that the compiler searches
    includes: tuple[Path, ...]  # those folders, in its order
    computing: tuple[Path, ...]  # of those, what front end and generated C search; kernels search none
    recipe: tuple[Path, ...] = RECIPE

    @property
    def files(self) -> tuple[Path, ...]:
        """All that decides the image."""
        groups = (self.app, self.kernels, self.frontend, self.interpreter, self.headers, self.recipe)
        return tuple(dict.fromkeys(path for group in groups for path in group))

    def hashes(self, board: Board) -> dict[str, str]:
        """SHA-256 by a name that is the same on every machine."""
        return {named(path, board): sha256(path) for path in self.files}


def image_sources(
    board: Board, runtime: str = "aot", frontend: str = "", listens: bool = False, program: Program = "model"
) -> ImageSources:
    """Of an image for ``board``. frontend: its kind, or none; listens: with the recogniser.

    program: the app around a model, or the one that finds the arena of one under TFLM (runtime tflm). TinyflowError:
    the board names a port or a microphone that is not there.
    """
    port = port_of(board)
    ports = [port] if board.core.compiler == "host" else [port, FIRMWARE / "port" / "cortexm"]
    microphone = microphone_of(board) if listens else None
    app = list(_in(FIRMWARE / "app", "*.c")) if program == "model" else [FIRMWARE / "app" / name for name in PROBE]
    app += [path for folder in ports for path in _in(folder, "*.c")]
    app += [*_in(FIRMWARE / "listen", "*.c"), *([microphone] if microphone else [])] if listens else []
    computing = [FIRMWARE / name for name in ("listen", "model", "kernels")]
    computing += source_folders(frontend, not board.core.fpu) if frontend else ()
    includes = [FIRMWARE / name for name in ("app", "microphone", "port")] + [*ports, *computing]
    interpreter = FIRMWARE / "model" / "tflm"
    headers = [path for folder in includes for path in _in(folder, "*.h")]
    return ImageSources(
        app=tuple(app),
        kernels=_in(FIRMWARE / "kernels", "*.c") if runtime == "aot" else (),
        frontend=sources(frontend, not board.core.fpu) if frontend else (),
        interpreter=(interpreter / f"{program}.cc",) if runtime == "tflm" else (),
        headers=(*headers, *(_in(interpreter, "*.h") if runtime == "tflm" else ())),
        includes=tuple(includes),
        computing=tuple(computing),
    )


def port_of(board: Board) -> Path:
    """The folder of the port that board.yaml names: beside it, or in firmware/port."""
    for folder in (Path(board.folder, board.port), FIRMWARE / "port" / board.port):
        if (folder / "port.c").is_file():
            return folder
    known = ", ".join(sorted(path.parent.name for path in (FIRMWARE / "port").glob("*/port.c")))
    raise TinyflowError(
        f"board {board.name}: no port {board.port!r}",
        f"firmware/port has {known}; or put port.c into {Path(board.folder, board.port)}",
    )


def microphone_of(board: Board) -> Path | None:
    """The source of the driver that board.yaml names: in the board's own folder, or in firmware/microphone."""
    if not board.microphone:
        return None
    for folder in (Path(board.folder), FIRMWARE / "microphone"):
        if (folder / f"{board.microphone}.c").is_file():
            return folder / f"{board.microphone}.c"
    known = ", ".join(path.stem for path in _in(FIRMWARE / "microphone", "*.c"))
    raise TinyflowError(
        f"board {board.name}: no microphone driver {board.microphone!r}",
        f"firmware/microphone has {known}; or put {board.microphone}.c into {board.folder}",
    )


def named(path: Path, board: Board) -> str:
    """``path`` without where tinyflow, or the board's folder, lies on this machine."""
    roots = {"firmware": FIRMWARE, "board": Path(board.folder), "tinyflow": PACKAGE}  # each may lie in the next
    name, root = next((name, root) for name, root in roots.items() if path.is_relative_to(root))
    return f"{name}/{path.relative_to(root).as_posix()}"


def _in(folder: Path, pattern: str) -> tuple[Path, ...]:
    return tuple(sorted(folder.glob(pattern)))
