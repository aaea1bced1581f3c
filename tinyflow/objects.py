"""C and C++ to object files: a call of the compiler for each source, and every object is kept in the user's cache.

All that the compiler is told and reads is named relative to a temporary folder of links (``firmware/kernels/add_s8.c``,
``generated/model.c``), so an object depends on contents alone, never on where they lie, and no path needs quoting.

An object is found again by the compiler, its options, and the text of every file that it read, system headers too; and
by which files of the same names lie in the folders searched, for one more there could come first. Each entry has its
own checksum, so that a damaged one is no entry. Processes share the cache without locks: files appear in it whole.
What an assembler includes (.incbin) is not seen; the C here has none.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tinyflow.errors import TinyflowError

LIMIT = 256 * 1024 * 1024  # bytes of the cache; what was not used for longest goes
BETWEEN = 60.0  # seconds from one look at its size to the next
FORMAT = 1  # raise it when entries mean something else
DIGEST = 32
# They would change an image behind the build id's back, or what is written beside it.
UNWANTED = ("CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES")
SEARCHED = ("CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH")  # headers that no option names


class ToolError(Exception):
    """A compiler or linker failed. ``output``: what it said, with real paths; ``command``: as a shell would take it."""

    def __init__(self, output: str, command: str):
        super().__init__(output)
        self.output, self.command = output, command


@dataclass(frozen=True)
class Unit:
    """A source, and how it is compiled. includes: folders searched in this order; system: after them, their warnings
    unheard.
    """

    source: Path
    compiler: tuple[str, ...]
    options: tuple[str, ...]
    includes: tuple[Path, ...] = ()
    system: tuple[Path, ...] = ()


class Workbench:
    """A temporary folder with a link to each of ``roots``, by name; what lies elsewhere gets one when it is named."""

    def __init__(self, folder: Path, roots: Mapping[str, Path]):
        self.folder = folder
        self._links: dict[str, Path] = {}
        self._began = time.time_ns()
        self._hashes: dict[str, str] = {}
        self._listings: dict[str, frozenset[str]] = {}
        for name, root in roots.items():
            self._link(name, Path(os.path.abspath(root)))

    def _link(self, name: str, root: Path) -> None:
        (self.folder / name).symlink_to(root, target_is_directory=True)
        self._links[name] = root

    def name(self, path: Path) -> str:
        """``path``, a file or a folder, as the tools are told."""
        path = Path(os.path.abspath(path))
        within = [(len(root.parts), name) for name, root in self._links.items() if path.is_relative_to(root)]
        if not within:
            self._link(f"folder{len(self._links)}", path if path.is_dir() else path.parent)
            return self.name(path)
        link = max(within)[1]
        return (Path(link) / path.relative_to(self._links[link])).as_posix()

    def real(self, text: str) -> str:
        """``text`` with the paths that users know."""
        names = "|".join(map(re.escape, self._links))
        return re.sub(rf"(?<![\w/.-])({names})(?=/)", lambda match: str(self._links[match[1]]), text)

    def shell(self, command: Iterable[str]) -> str:
        """``command`` as somebody would type it elsewhere."""
        names = "|".join(map(re.escape, self._links))
        pattern = re.compile(rf"(-I)?({names})(/.*)?")
        found = [(pattern.fullmatch(word), word) for word in command]
        return shlex.join(
            f"{match[1] or ''}{self._links[match[2]]}{match[3] or ''}" if match else word for match, word in found
        )

    def run(self, command: list[str]) -> None:
        """A tool that works here. ToolError: it failed."""
        result = subprocess.run(
            command, capture_output=True, text=True, errors="replace", env=environment(), cwd=self.folder
        )
        if result.returncode:
            raise ToolError(self.real(result.stdout + result.stderr), self.shell(command))

    def arguments(self, unit: Unit) -> list[str]:
        includes = [f"-I{self.name(folder)}" for folder in unit.includes]
        system = [word for folder in unit.system for word in ("-isystem", self.name(folder))]
        return [*unit.options, *includes, *system]

    def compile(self, units: Iterable[Unit]) -> list[str]:
        """Names of the objects, in the order of ``units``. ToolError: of the first source that fails."""
        entries = Cache.of_user()
        work = [(unit, self.arguments(unit), self.name(unit.source)) for unit in units]
        with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2) as pool:
            futures = [pool.submit(self._object, *part, entries) for part in work]
            try:
                objects = [future.result() for future in futures]
            finally:
                for future in futures:
                    future.cancel()
        if entries:
            entries.prune()
        return objects

    def _object(self, unit: Unit, arguments: list[str], source: str, entries: "Cache | None") -> str:
        out = self.folder / "objects" / f"{source.lstrip('/')}.o"
        out.parent.mkdir(parents=True, exist_ok=True)
        name = out.relative_to(self.folder).as_posix()
        folders = [self.name(folder) for folder in (*unit.includes, *unit.system)]
        if entries:
            key = _hash([FORMAT, identity(unit.compiler), arguments, source])
            for reads in entries.reads(key):
                if found := entries.object(self._content(key, reads, folders)):
                    out.write_bytes(found)
                    return name
        noted = out.with_suffix(".d")
        # Debug information would hold this folder's name. (Where that has an = in it, the compiler may read another.)
        mapped = [] if "=" in str(self.folder) else [f"-ffile-prefix-map={self.folder}=build"]
        note = ["-MD", "-MT", "object", "-MF", noted.relative_to(self.folder).as_posix()]
        self.run([*unit.compiler, *arguments, *mapped, *note, "-o", name, "-c", source])
        if entries:
            reads = dependencies(noted.read_text(errors="surrogateescape"))
            # What changed while the compiler ran, nobody knows how it was read.
            if all(self._changed(read) < self._began for read in reads):
                entries.keep(key, reads, self._content(key, reads, folders), out.read_bytes())
        return name

    def _changed(self, read: str) -> int:
        try:
            return (self.folder / read).stat().st_ctime_ns
        except OSError:
            return self._began

    def _content(self, key: str, reads: list[str], folders: list[str]) -> str:
        """What an object is found by; "" where a file is not there any more."""
        try:
            hashes = [self._file(read) for read in reads]
        except OSError:
            return ""
        return _hash([key, reads, hashes, self._namesakes(reads, folders)])

    def _file(self, name: str) -> str:
        if name not in self._hashes:
            self._hashes[name] = hashlib.sha256((self.folder / name).read_bytes()).hexdigest()
        return self._hashes[name]

    def _namesakes(self, reads: list[str], folders: list[str]) -> list[str]:
        """Files in the folders searched, by whatever end of a read file's path it may have been included."""
        searched = dict.fromkeys([*folders, *(os.path.dirname(read) for read in reads if not os.path.isabs(read))])
        found = set()
        for read in reads:
            parts = read.split("/")
            for at in range(1, len(parts)):
                for folder in searched:
                    if parts[at] in self._listing(folder):
                        path = f"{folder}/{'/'.join(parts[at:])}"
                        if at == len(parts) - 1 or (self.folder / path).is_file():
                            found.add(path)
        return sorted(found)

    def _listing(self, folder: str) -> frozenset[str]:
        if folder not in self._listings:
            try:
                self._listings[folder] = frozenset(os.listdir(self.folder / folder))
            except OSError:
                self._listings[folder] = frozenset()
        return self._listings[folder]


@contextmanager
def workbench(roots: Mapping[str, Path]) -> Iterator[Workbench]:
    with tempfile.TemporaryDirectory(prefix="tinyflow-") as folder:
        yield Workbench(Path(folder).resolve(), roots)


def environment() -> dict[str, str]:
    """What tools see: no stray flags, and English, for a translated linker would not be understood."""
    unwanted = (*UNWANTED, *SEARCHED, "LANGUAGE", "LC_ALL")
    kept = {key: value for key, value in os.environ.items() if key not in unwanted} | {"LC_MESSAGES": "C"}
    return kept | ({"LC_CTYPE": os.environ["LC_ALL"]} if "LC_ALL" in os.environ else {})


def dependencies(rule: str) -> list[str]:
    """The files that a rule of make names, as a compiler writes it (-MD)."""
    text = rule.partition(":")[2].replace("\\\n", " ")
    words = re.findall(r"(?:\\[\s\\#:]|[^\s])+", text)
    return [re.sub(r"\\([\s#:])", r"\1", word).replace("$$", "$") for word in words]


def identity(compiler: tuple[str, ...]) -> list[str]:
    """What tells one compiler from another, with the options that its command has."""
    path = shutil.which(compiler[0])
    if path is None:
        raise TinyflowError(f"{compiler[0]} is not installed", "run `tinyflow doctor`")
    about = os.stat(path)
    return [_version(path, about.st_size, about.st_mtime_ns), str(about.st_size), str(about.st_mtime_ns), *compiler[1:]]


@cache
def _version(path: str, size: int, changed: int) -> str:
    return subprocess.run([path, "--version"], capture_output=True, text=True, env=environment()).stdout


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


@dataclass(frozen=True)
class Cache:
    """In ``folder``, spread by the first letters: <key>.<hash>.reads, what the compiler read for a source so compiled;
    <content>.o, an object.
    """

    folder: Path

    @staticmethod
    def of_user() -> "Cache | None":
        """Where TINYFLOW_CACHE says, else below the user's folder of caches; None where it is off or cannot be."""
        named = os.environ.get("TINYFLOW_CACHE")
        if named is None:
            try:
                caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
            except RuntimeError:  # nobody's home
                return None
            named = str(caches / "tinyflow") if caches.is_absolute() else ""
        folder = Path(named).expanduser() / "objects"
        try:
            if named:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            return None
        return Cache(folder) if named and os.access(folder, os.W_OK) else None

    def reads(self, key: str) -> Iterator[list[str]]:
        """Usually one list: another where a macro decides what is included."""
        for path in sorted((self.folder / key[:2]).glob(f"{key}.*.reads")):
            if data := self._checked(path):
                yield json.loads(data)

    def object(self, content: str) -> bytes | None:
        return self._checked(self.folder / content[:2] / f"{content}.o") if content else None

    def keep(self, key: str, reads: list[str], content: str, data: bytes) -> None:
        if content:
            self._write(self.folder / content[:2] / f"{content}.o", data)
            self._write(self.folder / key[:2] / f"{key}.{_hash(reads)[:16]}.reads", json.dumps(reads).encode())

    def _checked(self, path: Path) -> bytes | None:
        try:
            stored = path.read_bytes()
            if hashlib.sha256(stored[DIGEST:]).digest() != stored[:DIGEST]:
                return None
            os.utime(path)  # used: not the oldest
        except OSError:
            return None
        return stored[DIGEST:]

    def _write(self, path: Path, data: bytes) -> None:
        """No fsync: what a power cut damages has the wrong checksum."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent)
            try:
                with open(handle, "wb") as file:
                    file.write(hashlib.sha256(data).digest() + data)
                os.replace(temporary, path)
            except OSError:
                os.unlink(temporary)
        except OSError:  # a full disk: what was compiled is there all the same
            return

    def prune(self, limit: int = LIMIT) -> None:
        """Down to three quarters of ``limit`` bytes where there are more, once in a while."""
        looked = self.folder / "looked"
        try:
            if time.time() - looked.stat().st_mtime < BETWEEN:
                return
        except OSError:
            pass  # never yet
        files = []
        for folder, _, names in os.walk(self.folder):
            for path in (os.path.join(folder, name) for name in names):
                try:
                    about = os.stat(path)
                    files.append((about.st_mtime_ns, about.st_size, path))
                except OSError:
                    continue  # another process was faster
        total = sum(size for _, size, _ in files)
        goal = limit * 3 // 4 if total > limit else total
        try:
            looked.touch()
            for _, size, path in sorted(files):
                if total > goal:
                    Path(path).unlink(missing_ok=True)
                    total -= size
        except OSError:
            return  # the cache is a convenience
