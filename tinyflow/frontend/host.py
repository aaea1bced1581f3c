"""The generated C of a front end on the machine we run on: what the board computes, bit for bit."""

import ctypes
import re
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinyflow.artefacts import FIRMWARE
from tinyflow.errors import TinyflowError
from tinyflow.reference.hostlib import build_host_library

FIXED = "fixed"  # in the folder of generated C: the tables of integers


def source_folders(kind: str, fixed: bool) -> tuple[Path, ...]:
    """Where the C of a kind lies, in floats or in integers: the kind's own folder, what its kin share, what all do."""
    shared = FIRMWARE / ("frontend_fixed" if fixed else "frontend")
    return (shared / kind, shared, *((FIRMWARE / "frontend",) if fixed else ()))


def sources(kind: str, fixed: bool) -> tuple[Path, ...]:
    """The .c files of a kind."""
    own, shared, *_ = source_folders(kind, fixed)
    frames = FIRMWARE / "frontend" / "frames.c"  # of both
    return tuple(dict.fromkeys([*sorted(own.glob("*.c")), *sorted(shared.glob("*.c")), frames]))


class HostFrontend:
    """The generated C of ``c_folder``, built with the host's compiler: in floats, or ``fixed`` as for a board without
    FPU.
    """

    def __init__(self, c_folder: Path, flags: tuple[str, ...] = (), fixed: bool = False):
        c_folder = Path(c_folder)
        self.values = read_config_header(c_folder / "frontend_config.h")
        kind = read_kind(c_folder / "frontend_config.h")
        tables = c_folder / (f"{FIXED}/frontend_fixed_tables.c" if fixed else "frontend_tables.c")
        include = [c_folder, tables.parent, *source_folders(kind, fixed)]
        with tempfile.TemporaryDirectory(prefix="tinyflow-frontend-") as build:  # loaded code outlives its file
            library = build_host_library([*sources(kind, fixed), tables], include, Path(build) / "frontend.so", flags)
        self._clip = library.frontend_clip
        self._clip.restype = ctypes.c_size_t
        self._clip.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]

    def frames(self, samples: int) -> int:
        window, hop = self.values["WINDOW"], self.values["HOP"]
        return 0 if samples < window else 1 + (samples - window) // hop

    def features(self, audio: npt.NDArray[np.int16]) -> npt.NDArray[np.int8]:
        """int16 (N, samples) to int8 (N, frames, features)."""
        if audio.dtype != np.int16 or audio.ndim != 2:
            raise TinyflowError(
                f"the C front end got {audio.dtype} of shape {audio.shape}", "audio is int16 (N, samples)"
            )
        audio = np.ascontiguousarray(audio)
        features = np.empty((len(audio), self.frames(audio.shape[1]), self.values["FEATURES"]), np.int8)
        for clip, row in zip(audio, features):
            if self._clip(clip.ctypes.data, clip.size, row.ctypes.data) != len(row):
                raise TinyflowError(
                    f"the C front end did not give {len(row)} frames", "generate it again: tinyflow compile"
                )
        return features


def read_config_header(path: Path) -> dict[str, int]:
    """The whole numbers of a frontend_config.h, without their FRONTEND_ prefix."""
    if not Path(path).is_file():
        raise TinyflowError(f"{path} does not exist", "generate the C first: tinyflow compile")
    found = re.findall(r"^#define FRONTEND_(\w+) (\d+)$", Path(path).read_text(), re.MULTILINE)
    return {name: int(value) for name, value in found}


def read_kind(path: Path) -> str:
    """The kind of front end that a frontend_config.h is of."""
    found = re.search(r'^#define FRONTEND_KIND "(\w+)"$', Path(path).read_text(), re.MULTILINE)
    if not found:
        raise TinyflowError(f"{path} does not say its kind of front end", "generate it again: tinyflow compile")
    return found[1]
