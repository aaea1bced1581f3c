"""C of this project built for the machine we run on, as a shared library for ctypes."""

import ctypes
import os
import shlex
import shutil
from pathlib import Path

from tinyflow.artefacts import FIRMWARE, atomic_path
from tinyflow.errors import TinyflowError
from tinyflow.objects import ToolError, Unit, workbench

# -ffp-contract=off: with it the host computes the very floats the device computes.
HOST_FLAGS = ("-std=c99", "-O2", "-ffp-contract=off", "-fPIC", "-Wall", "-Wextra", "-Werror")


def host_compiler() -> list[str]:
    """The host's C compiler: $CC, else cc, gcc or clang from the path."""
    named = shlex.split(os.environ.get("CC", ""))
    for command in ([named] if named else []) + [["cc"], ["gcc"], ["clang"]]:
        if shutil.which(command[0]):
            return command
    looked = f"CC={shlex.join(named)}, cc, gcc and clang" if named else "cc, gcc and clang"
    raise TinyflowError(f"no host C compiler: looked for {looked}", "install one: apt-get install gcc libc6-dev")


def build_host_library(sources: list[Path], include: list[Path], out: Path, flags: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Compiles C99 ``sources``, among which may be archives (.a), into the shared library ``out`` and loads it.

    include: header folders, searched in this order. flags: added after HOST_FLAGS, so they win.
    A library is loaded once per path and process: give every build its own ``out``.
    Errors: no compiler; a missing source; what the compiler says, warnings included (-Werror).
    """
    for source in sources:
        if not Path(source).is_file():
            raise TinyflowError(f"{source} does not exist", "generate the C first: tinyflow compile")
    out = Path(out).resolve()
    compiler = tuple(host_compiler())
    units = [
        Unit(Path(source), compiler, (*HOST_FLAGS, *flags), tuple(map(Path, include)))
        for source in sources
        if Path(source).suffix == ".c"
    ]
    archives = [Path(source) for source in sources if Path(source).suffix != ".c"]
    with atomic_path(out) as temporary, workbench({"firmware": FIRMWARE}) as bench:
        try:
            objects = bench.compile(units)
            linked = [*compiler, "-shared", *HOST_FLAGS, *flags, *objects, *map(bench.name, archives)]
            bench.run([*linked, "-o", str(temporary), "-lm"])  # fmaf
        except ToolError as error:
            names = ", ".join(Path(source).name for source in sources)
            raise TinyflowError(
                f"the host compiler failed on {names}:\n{error.output.strip()}", f"the command was: {error.command}"
            ) from None
    return ctypes.CDLL(str(out))
