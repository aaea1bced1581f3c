"""The run folder: where each artefact lies, atomic writes, fingerprints, provenance.

``runs/<recipe>/{data,search,train,compile,build/<board>,profile,report}``, each stage folder with a
``manifest.json``. Nothing is left half-written: write beside, fsync, rename.
"""

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyflow.errors import TinyflowError
from tinyflow.version import __version__

MANIFEST = "manifest.json"


def resource(name: str) -> Path:
    """A folder that tinyflow brings: beside the package in a checkout, in its _resources where it was installed."""
    package = Path(__file__).resolve().parent
    inside = package / "_resources" / name
    return inside if inside.is_dir() else package.parent / name


FIRMWARE, BOARDS, CONFIGS = resource("firmware"), resource("boards"), resource("configs")
CHECKOUT = not (Path(__file__).parent / "_resources").is_dir()  # tinyflow runs from its repository


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A temporary path beside ``path``, with its suffix; renamed onto it when the block succeeds, deleted when not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp made it private
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """A temporary folder beside ``path``; takes its place when the block succeeds, deleted when not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    temporary.chmod(0o755)
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def scratch_folder(owner: object) -> tuple[Path, Callable[[], object]]:
    """A temporary folder that goes when ``owner`` does, or this process, or when the second of the two is called."""
    folder = Path(tempfile.mkdtemp(prefix="tinyflow-"))
    return folder, weakref.finalize(owner, _discard, folder, os.getpid())


def _discard(folder: Path, process: int) -> None:
    if os.getpid() == process:  # a fork has a copy of the owner, and the same folder
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keeps every other process that asks for the same out of ``folder``; the lock ends with the process, however it
    ends.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TinyflowError(
                f"another tinyflow is at work in {folder}",
                "wait until it is done, or give this one a folder of its own: --runs FOLDER, or --set name=NAME",
            ) from None
        yield
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Deletes what a killed process was writing: temporary files in ``folder``, temporary folders beside it."""
    beside = folder.parent.glob(f".{folder.name}.*")
    for path in (*folder.glob(".*"), *(path for path in beside if path.is_dir())):
        if re.fullmatch(r"\..+\.[a-z0-9_]{8}(\.\w+)?", path.name):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_bytes(path: Path | str, data: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path | str, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path | str, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path | str) -> Any:
    path = Path(path)
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise TinyflowError(
            f"{path} does not exist", "run the stage that makes it: tinyflow build --dry-run lists them"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise TinyflowError(f"{path} is not valid JSON: {error}", "delete it and run its stage again") from None


def sha256(path: Path | str) -> str:
    """Hex SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """Hex SHA-256 of a JSON-able value; equal values give equal fingerprints across machines."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True)
class Manifest:
    """What a stage was made from. Only ``fingerprint`` decides whether the stage is up to date."""

    stage: str
    fingerprint: str
    inputs: dict[str, str] = field(default_factory=dict)  # artefact -> SHA-256
    outputs: dict[str, str] = field(default_factory=dict)  # file in the stage folder -> SHA-256
    sources: dict[str, str] = field(default_factory=dict)  # of tinyflow that decide the outputs -> SHA-256
    version: int = 0  # of the stage's format; 0: made before it was noted
    recipe: dict[str, Any] = field(default_factory=dict)  # the part of the recipe the stage reads
    seed: int | None = None
    seconds: float = 0.0
    finished: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    threads: int = 0

    def write(self, folder: Path) -> None:
        write_json(folder / MANIFEST, self.__dict__)

    @staticmethod
    def read(folder: Path) -> "Manifest | None":
        """The manifest in ``folder``, or None when the stage never finished there."""
        if not (folder / MANIFEST).is_file():
            return None
        try:
            return Manifest(**read_json(folder / MANIFEST))
        except TypeError as error:
            raise TinyflowError(
                f"{folder / MANIFEST} has unknown fields: {error}", f"delete {folder} and run the stage again"
            ) from None


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python, tinyflow and the named installed packages, for manifests."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version(), "tinyflow": __version__}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


@dataclass(frozen=True)
class RunFolder:
    """``runs/<recipe>``: every stage's folder by name."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def search(self) -> Path:
        return self.root / "search"

    @property
    def train(self) -> Path:
        return self.root / "train"

    @property
    def compile(self) -> Path:
        return self.root / "compile"

    def build(self, board: str, runtime: str = "aot") -> Path:
        return self.root / "build" / _with(board, runtime)

    def profile(self, board: str, runtime: str = "aot") -> Path:
        return self.root / "profile" / _with(board, runtime)

    @property
    def report(self) -> Path:
        return self.root / "report"


def _with(board: str, runtime: str) -> str:
    return board if runtime == "aot" else f"{board}-{runtime}"


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def command_line() -> list[str]:
    return [Path(sys.argv[0]).name, *sys.argv[1:]]
