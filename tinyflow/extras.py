"""The sizes in which tinyflow is installed: which extra brings what, and the one command that adds it."""

import sys

from tinyflow.errors import TinyflowError

DISTRIBUTION = "tinyflow-mcu"  # PyPI's "tinyflow" is somebody else's; the package and the command are called tinyflow

# What each brings, by the name under which Python imports it. pyproject.toml lists the distributions.
EXTRAS = {
    "oracle": ("tflite_micro",),
    "train": ("torch", "torchaudio", "safetensors", "soundfile", "matplotlib", "ray"),
    "convert": ("torch", "tensorflow", "onnx", "onnxruntime", "ai_edge_litert", "tflite_runtime"),
}


def install_command(extra: str) -> str:
    """The command that adds ``extra`` to the Python that runs now."""
    return f"{sys.executable} -m pip install '{DISTRIBUTION}[{extra}]'"


def missing(package: str, needed_for: str = "") -> TinyflowError:
    """The error for an absent package of an extra; ``needed_for``: what wants it, as in "training needs it"."""
    extra = next((name for name, packages in EXTRAS.items() if package.partition(".")[0] in packages), "all")
    said = f", and {needed_for}" if needed_for else ""
    return TinyflowError(f"the Python package {package!r} is not installed{said}", install_command(extra))
