"""The stage build, the last of both kinds of run: a compiled model becomes firmware for a board."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tinyflow.artefacts import read_json
from tinyflow.board import Board, load_board
from tinyflow.deploy.artefact import Runtime
from tinyflow.errors import TinyflowError
from tinyflow.pipeline import sources
from tinyflow.pipeline.run import Run
from tinyflow.pipeline.stage import Image, Stage, Step

if TYPE_CHECKING:
    from tinyflow.deploy.target import Target


def make_firmware(
    run: Run, board: Board | str, runtime: Runtime = "aot", emulator: str | None = None, port: str | None = None
) -> "tuple[Target, list[Step]]":
    """What run, validate, profile, listen and flash work on, and the stages that were run for it.

    board: itself, or its name. emulator, port: where it is to run (deploy/places/place.py); the firmware is the same
    wherever that is.
    """
    from tinyflow.compile import load_compiled
    from tinyflow.deploy.artefact import load_firmware
    from tinyflow.deploy.places.place import choose_place
    from tinyflow.deploy.target import Target

    board = board if isinstance(board, Board) else load_board(board)
    place = choose_place(board, emulator, port)  # one that the board does not have should show before hours of training
    image = Image(board, runtime)
    steps = run.make("build", image)
    return Target(load_firmware(run.path("build", image)), load_compiled(run.folder.compile), place), steps


def _part(run: Run, image: Image | None) -> Any:
    from tinyflow.deploy.toolchain import compiler_version

    board = _wanted(image).board
    part = {
        "board": board.facts(),
        "compiler": compiler_version(board),
        "listen": asdict(run.listen),
    }
    if _wanted(image).runtime == "tflm":
        from tinyflow.deploy.tflm.library import find_tflm

        part["tflm"] = find_tflm(board).fingerprint()
    return part


def _sources(run: Run, image: Image | None) -> dict[str, str]:
    """Of the image of the model as it was compiled last."""
    from tinyflow.compile.artefact import COMPILED
    from tinyflow.deploy.image.sources import image_sources

    board, runtime = _wanted(image).board, _wanted(image).runtime
    compiled = run.folder.compile / COMPILED
    frontend = read_json(compiled).get("frontend") if compiled.is_file() else None
    kind = frontend.get("kind", "") if isinstance(frontend, dict) else ""
    found = image_sources(board, runtime, kind, listens=bool(kind))
    return sources.of_build(found, board, runtime)


def _make(run: Run, image: Image | None) -> None:
    from tinyflow.compile import load_compiled
    from tinyflow.deploy.build import build

    board, runtime = _wanted(image).board, _wanted(image).runtime
    build(
        load_compiled(run.folder.compile),
        board,
        run.path("build", image),
        run.progress,
        runtime=runtime,
        listen=run.listen,
    )


def _wanted(image: Image | None) -> Image:
    if image is None:
        raise TinyflowError("build needs a board", "--board mps2-an386; `tinyflow boards` lists them")
    return image


BUILD: Stage[Run] = Stage(
    "build",
    version=1,
    needs=("compile",),
    part=_part,
    make=_make,
    sources=_sources,
    packages=("pyelftools",),
    sections=("listen",),
)
