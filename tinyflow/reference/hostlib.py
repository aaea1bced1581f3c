"""C of this project built for the machine we run on, as a shared library for ctypes."""

import ctypes
import os
import shlex
import shutil
import subprocess
from pathlib import Path

from tinyflow.artefacts import atomic_path
from tinyflow.errors import TinyflowError

# -ffp-contract=off: with it the host computes the very floats the device computes.
HOST_FLAGS = ("-std=c99", "-O2", "-ffp-contract=off", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror")


def host_compiler() -> list[str]:
    """The host's C compiler: $CC, else cc, gcc or clang from the path."""
    named = shlex.split(os.environ.get("CC", ""))
    for command in ([named] if named else []) + [["cc"], ["gcc"], ["clang"]]:
        if shutil.which(command[0]):
            return command
    looked = f"CC={shlex.join(named)}, cc, gcc and clang" if named else "cc, gcc and clang"
    raise TinyflowError(f"no host C compiler: looked for {looked}", "install one: apt-get install gcc libc6-dev")


def build_host_library(sources: list[Path], include: list[Path], out: Path, flags: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Compiles C99 ``sources`` into the shared library ``out`` and loads it.

    include: header folders, searched in this order. flags: added after HOST_FLAGS, so they win.
    A library is loaded once per path and process: give every build its own ``out``.
    Errors: no compiler; a missing source; what the compiler says, warnings included (-Werror).
    """
    for source in sources:
        if not Path(source).is_file():
            raise TinyflowError(f"{source} does not exist", "generate the C first: tinyflow compile")
    out = Path(out).resolve()
    includes = [f"-I{Path(folder)}" for folder in include]
    with atomic_path(out) as temporary:
        # fmaf
        command = [
            *host_compiler(),
            *HOST_FLAGS,
            *flags,
            *includes,
            *map(str, sources),
            "-o",
            str(temporary),
            "-lm",
        ]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            raise TinyflowError(
                "the host compiler failed on"
                f" {', '.join(Path(source).name for source in sources)}:\n{result.stderr.strip()}",
                f"the command was: {shlex.join(command)}",
            )
    return ctypes.CDLL(str(out))
