"""Where boards come from: tinyflow's own, those of installed plug-ins, and a folder of the user's (docs/boards.md)."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from tinyflow.artefacts import BOARDS
from tinyflow.errors import TinyflowError

GROUP = "tinyflow.boards"  # entry points: a package whose folder holds boards, or a function that returns such a folder
VARIABLE = (
    "TINYFLOW_BOARDS"  # the user's folder; --boards sets it, so that processes which a command starts have it too
)
USUAL = Path("boards")  # the user's folder where none is named


@dataclass(frozen=True)
class BoardFolder:
    path: Path  # with board.yaml in it
    origin: str  # "tinyflow", a plug-in's name and version, or the user's folder


@contextmanager
def user_boards(folder: Path | None) -> Iterator[None]:
    """Names boards of ``folder`` too, in this process and in what it starts, until the block ends. None: no other."""
    before = os.environ.get(VARIABLE)
    if folder is not None:
        os.environ[VARIABLE] = str(folder.resolve())
    try:
        yield
    finally:
        if before is not None:
            os.environ[VARIABLE] = before
        elif folder is not None:
            del os.environ[VARIABLE]


def board_folders() -> dict[str, BoardFolder]:
    """Every board that a name is enough for, by its name, sorted.

    Errors: two boards of one name, unless all their files are the same; a plug-in that cannot say its folder; a folder
    of the user's that holds no board.
    """
    found: dict[str, BoardFolder] = {}
    for folder, origin in (
        (BOARDS, "tinyflow"),
        *((plug_in_folder(entry), origin_of(entry)) for entry in _entry_points(tuple(sys.path))),
        *_users_folder(),
    ):
        for path in sorted(path.parent for path in folder.glob("*/board.yaml")):
            other = found.setdefault(path.name, BoardFolder(path, origin))
            if not _same(path, other.path):
                raise TinyflowError(
                    f"two boards are called {path.name!r}: {other.path} (of {other.origin}) and {path} (of {origin})",
                    "rename one of the folders; --board also takes the path of a folder, whatever its name",
                )
    return dict(sorted(found.items()))


def _users_folder() -> Iterator[tuple[Path, str]]:
    named = os.environ.get(VARIABLE)
    folder = Path(named) if named else USUAL
    if any(folder.glob("*/board.yaml")):
        yield folder, str(folder)
    elif named:
        raise TinyflowError(
            f"{folder} holds no board: there is no {folder}/NAME/board.yaml",
            "--boards (or TINYFLOW_BOARDS) names a folder of board folders; one board alone is --board PATH",
        )


@cache
def _entry_points(path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Of what is installed on ``path``, this process's sys.path: looking costs milliseconds for each package there."""
    return tuple(sorted(entry_points(group=GROUP), key=lambda entry: (origin_of(entry), entry.name)))


def origin_of(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def plug_in_folder(entry: EntryPoint) -> Path:
    """The folder that a plug-in keeps its boards in."""
    try:
        value = entry.load()
        if not callable(value) and not hasattr(value, "__path__"):
            raise TypeError("neither a package nor a function that returns a folder")
        folder = Path(value() if callable(value) else next(iter(value.__path__)))
    except Exception as error:  # whatever a stranger's code raises
        raise _broken(entry, f"{entry.value}: {type(error).__name__}: {error}") from error
    if not any(folder.glob("*/board.yaml")):
        raise _broken(entry, f"there is no {folder}/NAME/board.yaml")
    return folder


def _broken(entry: EntryPoint, why: str) -> TinyflowError:
    name = entry.dist.name if entry.dist else entry.name
    return TinyflowError(
        f"the plug-in {origin_of(entry)} gives no boards: {why}",
        f"mend it (docs/boards.md: a plug-in), or take it out: {sys.executable} -m pip uninstall {name}",
    )


def _same(one: Path, other: Path) -> bool:
    """Whether two folders are one, or copies: a second checkout of tinyflow brings no second boards."""
    if one.resolve() == other.resolve():
        return True
    here, there = (sorted(path.relative_to(folder) for path in _files(folder)) for folder in (one, other))
    return here == there and all((one / name).read_bytes() == (other / name).read_bytes() for name in here)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
