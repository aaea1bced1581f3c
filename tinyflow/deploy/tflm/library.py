"""TensorFlow Lite Micro as installed: TFLM_ROOT, its headers and the libraries that TFLM's own build made there."""

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tinyflow.artefacts import sha256
from tinyflow.board import Board
from tinyflow.deploy.tflm.archive import Archive
from tinyflow.errors import TinyflowError

CXX = "arm-none-eabi-g++"
LIBRARY = "libtensorflow-microlite.a"
MAKE = (
    "make -f tensorflow/lite/micro/tools/make/Makefile TARGET=cortex_m_generic TARGET_ARCH={arch}"
    " OPTIMIZED_KERNEL_DIR=cmsis_nn BUILD_TYPE=release"
)
RESOLVER = "tensorflow/lite/micro/micro_mutable_op_resolver.h"
KERNELS = "tensorflow/lite/micro/kernels"
DOWNLOADS = "tensorflow/lite/micro/tools/make/downloads"
# what its headers include: a folder, and a file that must be in it
INCLUDES = (
    ("", RESOLVER),
    ("", "tensorflow/lite/micro/micro_interpreter.h"),
    (f"{DOWNLOADS}/flatbuffers/include", "flatbuffers/flatbuffers.h"),
    (f"{DOWNLOADS}/gemmlowp", "fixedpoint/fixedpoint.h"),
    (f"{DOWNLOADS}/ruy", "ruy/profiler/instrumentation.h"),
)
# gen/<target>_<arch>_<build type>[_<kernels>]_<toolchain>
_FOLDER = re.compile(
    r"cortex_m_generic_(?P<arch>[^_]+)_(?P<build>debug|default|release_with_logs|release)(?:_(?P<kernels>cmsis_nn))?_(?P<toolchain>[a-z]+)"
)
_BUILDS = ("release", "release_with_logs", "default", "debug")  # the smallest first


@dataclass(frozen=True)
class Tflm:
    """One library below ``root``."""

    root: Path
    library: Path
    arch: str  # TFLM's TARGET_ARCH
    build: str  # its BUILD_TYPE
    cmsis_nn: bool  # kernels of CMSIS-NN, else TFLM's reference kernels

    def __str__(self) -> str:
        return f"TFLM with {'CMSIS-NN' if self.cmsis_nn else 'reference'} kernels ({self.arch}, {self.build})"

    @cached_property
    def archive(self) -> Archive:
        return Archive(self.library)

    @property
    def includes(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(self.root / folder for folder, _ in INCLUDES))

    @property
    def defines(self) -> tuple[str, ...]:
        """What its headers must be told to show the registrations of int8 alone; without, they fall back to the general
        ones in silence.
        """
        return ("CMSIS_NN",) if any(symbol.endswith("_INT8Ev") for symbol in self.archive.symbols) else ()

    def fingerprint(self) -> dict[str, Any]:
        """What firmware around it depends on, wherever it lies: the library's content and the headers'."""
        digest = hashlib.sha256()
        for folder in ("tensorflow/lite/micro", KERNELS, "tensorflow/lite/c", "tensorflow/lite/core/c"):
            for path in sorted((self.root / folder).glob("*.h")):
                digest.update(f"{folder}/{path.name}\0{sha256(path)}\0".encode())
        return {
            "arch": self.arch,
            "build": self.build,
            "cmsis_nn": self.cmsis_nn,
            "library": sha256(self.library),
            "headers": digest.hexdigest(),
        }

    def check(self) -> None:
        """TinyflowError when firmware cannot be built around it: headers absent, objects of another machine or
        compiler.
        """
        for folder, name in INCLUDES:
            if not (self.root / folder / name).is_file():
                fetch = f"TFLM's own build fetches it: {MAKE.format(arch=self.arch)} third_party_downloads"
                hint = fetch if folder else "TFLM_ROOT is a checkout of tflite-micro, with its headers"
                raise TinyflowError(f"TFLM_ROOT is {self.root}, and {self.root / folder / name} is absent", hint)
        machine, compiler = self.archive.machine, self.archive.compiler
        if machine != "EM_ARM" or not compiler.startswith("GCC:"):
            raise TinyflowError(
                f"{self.library} was built for {machine.removeprefix('EM_') or 'nothing'} by"
                f" {compiler or 'an unknown compiler'}; firmware is built by arm-none-eabi-gcc",
                f"build it with TOOLCHAIN=gcc: {MAKE.format(arch=self.arch)} microlite",
            )


def check_compiler() -> None:
    """TinyflowError where there is no C++ for a Cortex-M: its headers are a package of their own on Debian."""
    path = shutil.which(CXX)
    library = (
        subprocess.run([path, "-print-file-name=libstdc++.a"], capture_output=True, text=True).stdout.strip()
        if path
        else ""
    )
    if not Path(library).is_absolute():  # the bare name when it has none
        raise TinyflowError(
            f"{CXX} {'has no C++ library' if path else 'is not installed'}: the runtime tflm is C++",
            "Debian: sudo apt-get install gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib",
        )


def libraries() -> list[Tflm]:
    """All below TFLM_ROOT, the best first: CMSIS-NN before reference kernels, a release build before others.

    Errors: TFLM_ROOT is not set, or no folder, or holds no library.
    """
    value = os.environ.get("TFLM_ROOT", "")
    if not value:
        hint = "docs/tflm.md says how to build TFLM's library; without it: --runtime aot"
        raise TinyflowError(
            "TFLM_ROOT is not set: the runtime tflm is built around an installed TensorFlow Lite Micro", hint
        )
    root = Path(value).expanduser().resolve()
    if not root.is_dir():
        raise TinyflowError(
            f"TFLM_ROOT is {value}, which is not a folder", "name a checkout of tflite-micro (docs/tflm.md)"
        )
    found = []
    for path in sorted(root.glob(f"gen/*/lib/{LIBRARY}")):
        if match := _FOLDER.fullmatch(path.parent.parent.name):
            found.append(Tflm(root, path, match["arch"], match["build"], bool(match["kernels"])))
    if not found:
        raise TinyflowError(
            f"TFLM_ROOT is {root}, and no gen/cortex_m_generic_*/lib/{LIBRARY} lies below it",
            f"TFLM's own build makes it: {MAKE.format(arch='cortex-m4+fp')} microlite",
        )
    return sorted(found, key=lambda item: (not item.cmsis_nn, _BUILDS.index(item.build), item.arch))


def find_tflm(board: Board) -> Tflm:
    """The best library for ``board``, checked. Errors: those of libraries(), check_compiler() and Tflm.check(); none
    for the board's core.
    """
    if not board.core.tflm:
        on_host = "tflite_micro plays its part there: tinyflow profile --board host --compare aot,tflm"
        hint = on_host if board.port == "host" else "set `tflm:` in board.yaml (docs/boards.md)"
        raise TinyflowError(
            f"board {board.name} has no tflm runtime: its board.yaml names no TARGET_ARCH of TFLM", hint
        )
    found = libraries()
    check_compiler()
    for tflm in found:
        if tflm.arch == board.core.tflm:
            tflm.check()
            return tflm
    archs = ", ".join(sorted({item.arch for item in found}))
    raise TinyflowError(
        f"TFLM_ROOT is {found[0].root}, which has {LIBRARY} for {archs}; board {board.name} needs {board.core.tflm}",
        f"TFLM's own build makes it: {MAKE.format(arch=board.core.tflm)} microlite",
    )
