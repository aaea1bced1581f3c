"""The sizes in which tinyflow is installed: which extra brings what, and the one command that adds it."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec

from tinyflow.errors import TinyflowError

DISTRIBUTION = "tinyflow-mcu"  # PyPI's "tinyflow" is somebody else's; the package and the command are called tinyflow


@dataclass(frozen=True)
class Extra:
    packages: tuple[str, ...]  # as Python imports them, first one that no other extra has where there is one
    adds: str  # what it is for
    megabytes: int  # about what it takes beside the base, on Linux x86-64 (tests/wheel/test_install_sizes.py measures)


EXTRAS = {
    "oracle": Extra(
        ("tflite_micro",), "validate against TensorFlow Lite Micro's own interpreter, not only our kernels", 4
    ),
    "train": Extra(
        ("torchaudio", "torch", "safetensors", "soundfile", "matplotlib", "ray"),
        "recordings, search, sweep, train, evaluate; pictures",
        5_200,
    ),
    "convert": Extra(
        ("tensorflow", "onnx", "onnxruntime", "torch", "ai_edge_litert", "tflite_runtime"),
        "compile of what was trained: ONNX and int8",
        7_000,
    ),
}


def install_command(extra: str) -> str:
    """The command that adds ``extra`` ("": the base; "train,convert": both) to the Python that runs now."""
    return f"{sys.executable} -m pip install '{DISTRIBUTION}{f'[{extra}]' if extra else ''}'"


def missing(package: str, needed_for: str = "") -> TinyflowError:
    """The error for an absent package of an extra; ``needed_for``: what wants it, as in "training needs it"."""
    extra = next((name for name, extra in EXTRAS.items() if package.partition(".")[0] in extra.packages), "all")
    said = f", and {needed_for}" if needed_for else ""
    return TinyflowError(f"the Python package {package!r} is not installed{said}", install_command(extra))


def installed(package: str) -> bool:
    return find_spec(package) is not None


def without(package: str, what: str) -> str:
    """The line for what was left out where ``package`` is absent, as in "pictures"; empty where it is there."""
    if installed(package):
        return ""
    absent = missing(package)
    return f"no {what}: {absent.message}; {absent.hint} adds it"


def require(extras: Iterable[str], needed_for: str) -> None:
    """TinyflowError where one of ``extras`` is not installed, by its first package: before hours of what comes first.

    needed_for: what wants them, as in "the stage train needs it".
    """
    absent = [name for name in dict.fromkeys(extras) if not installed(EXTRAS[name].packages[0])]
    if absent:
        names = ",".join(absent)
        raise TinyflowError(f"tinyflow is installed without [{names}]: {needed_for}", install_command(names))
