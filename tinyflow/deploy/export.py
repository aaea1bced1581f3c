"""Export: a compiled model as a folder of C that needs nothing of this project.

Flat: model.c, the kernels it calls, the front end where it has one, tinyflow.h and tinyflow.c (firmware/export), an
example; beside them what CMake, Zephyr and PlatformIO want, README.md, LICENSE, and tinyflow-export.json, by which a
later export knows the folder. The files are those of firmware/ but for their global names, which all get the prefix
``tinyflow_``.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tinyflow.artefacts import FIRMWARE, atomic_folder, read_json, sha256, write_json
from tinyflow.compile.artefact import CompiledModel, Port
from tinyflow.errors import TinyflowError
from tinyflow.frontend.host import FIXED, source_folders, sources
from tinyflow.version import __version__

TEMPLATES = FIRMWARE / "export"
LICENSE = FIRMWARE.parent / "LICENSE"
MARK = "tinyflow-export.json"

# Functions of model.h and model.c, everything of the front end; not the files' names nor static objects
# (model_params_0).
_MODEL_NAMES = r"model_(?:init|input|invoke|invoke_layer|output|arena|layer_\d+)\b"
_FRONTEND_NAMES = r"frontend_\w+\b(?!\.[ch]\b)"
# of a function that others may call
_DEFINITION = re.compile(r"^(?!static|typedef)(?:\w+[ *]+)+(\w+)\([^;{}]*\) \{|\.global (?=(\w+))", re.MULTILINE)


_FLOAT_NOTE = """
The features are the same on every machine, bit for bit: `fp.h` forbids fusing of floats by a pragma (GCC and clang),
and refuses `-ffast-math`. Without an FPU they are right, but slow: `tinyflow export --fixed` computes them in integers.
"""
_FIXED_NOTE = """
The features are computed in integers, for cores without FPU; they are the same on every machine, bit for bit.
"""


@dataclass(frozen=True)
class Exported:
    """What ``tinyflow export`` wrote."""

    folder: Path
    model: str
    files: tuple[str, ...]
    kernels: tuple[str, ...]
    frontend: bool  # whether audio can go in
    model_bytes: int  # packed weights, biases, multipliers (flash)
    arena_bytes: int


def export(compiled: CompiledModel, out: Path | str, force: bool = False, fixed: bool = False) -> Exported:
    """Writes the C of ``compiled`` into the folder ``out``, whole or not at all.

    fixed: with the front end in integers, for cores without FPU; without one in the model it changes nothing.
    A folder that an earlier export wrote, and nobody changed since, is replaced; any other that is not empty only with
    ``force``, and never one we stand in. Errors: those, and a compiled model that is not complete.
    """
    out = Path(out).resolve()
    _may_replace(out, force)
    files = {path.name: _read(path) for path in _sources(compiled, fixed)}
    files |= {path.relative_to(TEMPLATES).as_posix(): path.read_text() for path in _templates(compiled)}
    files = {name: _prefixed(text) if name.endswith((".c", ".h")) else text for name, text in files.items()}
    files["tinyflow_config.h"] = _config(compiled)
    files["library.json"] = _platformio(compiled)
    files["README.md"] = _readme(compiled, files["README.md"], fixed)
    files["LICENSE"] = LICENSE.read_text()
    with atomic_folder(out) as folder:
        for name, text in sorted(files.items()):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        written = {name: sha256(folder / name) for name in sorted(files)}
        write_json(
            folder / MARK,
            {
                "tinyflow": __version__,
                "model": compiled.name,
                "tflite_sha256": sha256(compiled.tflite),
                "files": written,
            },
        )
    sources = [name for name in written if name.endswith(".c")]
    return Exported(
        folder=out,
        model=compiled.name,
        files=(*written, MARK),
        kernels=tuple(name.removesuffix(".c") for name in sources if (FIRMWARE / "kernels" / name).is_file()),
        frontend=compiled.frontend is not None,
        model_bytes=compiled.model_bytes,
        arena_bytes=compiled.arena_bytes,
    )


def _may_replace(out: Path, force: bool) -> None:
    if out.is_file():
        raise TinyflowError(f"{out} is a file", "--out names a folder")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if Path.cwd().is_relative_to(out):
        raise TinyflowError(
            f"{out} is, or holds, the folder you are in: an export replaces it whole", "--out a folder of its own"
        )
    if force:
        return
    if not (out / MARK).is_file():
        raise TinyflowError(
            f"{out} was not written by tinyflow export",
            "--out another folder, or --force to replace it with all that is in it",
        )
    known = read_json(out / MARK).get("files", {})
    found = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file() and path.name != MARK}
    changed = sorted(name for name, path in found.items() if name not in known or sha256(path) != known[name])
    if changed:
        named = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
        raise TinyflowError(
            f"{out} holds files that were added or changed since its export: {named}",
            "move them, or --force to lose them",
        )


def _templates(compiled: CompiledModel) -> list[Path]:
    paths = [path for path in sorted(TEMPLATES.rglob("*")) if path.is_file()]
    return [path for path in paths if compiled.frontend or path.name != "tinyflow_audio.c"]


def _sources(compiled: CompiledModel, fixed: bool) -> set[Path]:
    """The generated C, its kernels and front end, and every header that these include."""
    folders = [compiled.c, FIRMWARE / "model", FIRMWARE / "kernels"]
    chosen = {compiled.c / "model.c", *_kernels(compiled.c / "model.c")}
    roots = [TEMPLATES / "tinyflow.c"]
    if compiled.frontend:
        kind, generated = compiled.frontend.kind, compiled.c / FIXED if fixed else compiled.c
        folders += [generated, *source_folders(kind, fixed)]
        chosen |= {*sources(kind, fixed), *generated.glob("frontend_*.c")}
        roots.append(TEMPLATES / "tinyflow_audio.c")
    waiting = [*chosen, *roots]
    while waiting:
        for name in re.findall(r'^#include "([^"]+)"', _read(waiting.pop()), re.MULTILINE):
            header = next((folder / name for folder in folders if (folder / name).is_file()), None)
            if header and header not in chosen:
                chosen.add(header)
                waiting.append(header)
    return chosen


def _kernels(model: Path) -> set[Path]:
    """The sources of the kernels that ``model`` calls, and of those that they call."""
    known = _kernel_functions()
    chosen: set[Path] = set()
    waiting = [model]
    while waiting:
        called = {known[name] for name in re.findall(r"\w+", _read(waiting.pop())) if name in known} - chosen
        chosen |= called
        waiting += called
    return chosen


@cache
def _kernel_functions() -> dict[str, Path]:
    """The source that defines each function of firmware/kernels."""
    sources = sorted((FIRMWARE / "kernels").glob("*.c"))
    return {match[1] or match[2]: path for path in sources for match in _DEFINITION.finditer(path.read_text())}


def _read(path: Path) -> str:
    if not path.is_file():
        raise TinyflowError(f"{path} does not exist", "run `tinyflow compile` again")
    return path.read_text()


def _prefixed(source: str) -> str:
    """``source`` with its global names prefixed."""
    kernels = "|".join(_kernel_functions())
    return re.sub(rf"\b(?=(?:{_MODEL_NAMES}|{_FRONTEND_NAMES}|(?:{kernels})\b(?!\.[ch]\b)))", "tinyflow_", source)


def _config(compiled: CompiledModel) -> str:
    # JSON's strings are C's for printable text
    labels = ", ".join(json.dumps(label) for label in compiled.labels) or '""'
    values = {
        **_port_values("INPUT", compiled.input),
        **_port_values("OUTPUT", compiled.output),
        "TINYFLOW_LABELS": (labels, "names of the outputs"),
        "TINYFLOW_FRONTEND": (int(compiled.frontend is not None), "whether audio can go in"),
    }
    if compiled.frontend:
        frontend = compiled.frontend
        frames = compiled.input.elements // frontend.features
        values |= {
            "TINYFLOW_SAMPLE_RATE": (frontend.sample_rate, "hertz"),
            "TINYFLOW_WINDOW": (frontend.window, "samples of a frame"),
            "TINYFLOW_HOP": (frontend.hop, "samples from one frame to the next"),
            "TINYFLOW_FEATURES": (frontend.features, "of a frame"),
            "TINYFLOW_FRAMES": (frames, "of the input"),
            "TINYFLOW_CLIP_SAMPLES": ((frames - 1) * frontend.hop + frontend.window, "that fill the input"),
        }
    lines = "".join(f"#define {name} {value} /* {said} */\n" for name, (value, said) in values.items())
    return (
        f"/* SPDX-License-Identifier: Apache-2.0 */\n/* Generated by tinyflow export: {_plain(compiled.name)}. A real"
        " number is scale * (int8 - zero point). */\n#ifndef TINYFLOW_CONFIG_H\n#define"
        f" TINYFLOW_CONFIG_H\n\n{lines}\n#endif\n"
    )


def _port_values(side: str, port: Port) -> dict[str, tuple[Any, str]]:
    return {
        f"TINYFLOW_{side}_BYTES": (port.elements, f"int8 {_shape(port)}"),
        f"TINYFLOW_{side}_SCALE": (
            f"{port.scale:.9g}f" if "." in f"{port.scale:.9g}" or "e" in f"{port.scale:.9g}" else f"{port.scale:.1f}f",
            "float",
        ),
        f"TINYFLOW_{side}_ZERO_POINT": (port.zero_point, "int8"),
    }


def _shape(port: Port) -> str:
    return "(" + ", ".join(map(str, port.shape)) + ")"


def _plain(text: str) -> str:
    """Text that may stand in a comment and on a line of its own."""
    return re.sub(r"[^\w .,:()-]+", "_", text)


def _platformio(compiled: CompiledModel) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", compiled.name.lower()).strip("-")
    value = {
        "name": f"tinyflow-{name}" if name else "tinyflow",
        "version": __version__,
        "description": f"The int8 network {_plain(compiled.name)} in C99, by tinyflow",
        "license": "Apache-2.0",
        "frameworks": "*",
        "platforms": "*",
        "headers": "tinyflow.h",
        "build": {"srcDir": ".", "includeDir": ".", "srcFilter": ["+<*.c>", "-<main.c>"]},
    }
    return json.dumps(value, indent=2) + "\n"


def _readme(compiled: CompiledModel, template: str, fixed: bool) -> str:
    rows, fpu, notes = "", "", ""
    usage = "tinyflow_init();\nmemcpy(tinyflow_input(), x, TINYFLOW_INPUT_BYTES);\nconst int8_t *y = tinyflow_invoke();"
    if compiled.frontend:
        rows = f"| audio | {compiled.frontend.sample_rate} Hz, 16 bits, mono: {compiled.frontend.says} |\n"
        rows += f"| classes | {', '.join(map(_plain, compiled.labels))} |\n"
        fpu = "" if fixed else " (and `CONFIG_FPU=y` where the core has one)"
        usage = (
            "tinyflow_init();\nint heard = tinyflow_classify(samples); /* TINYFLOW_CLIP_SAMPLES of them"
            ' */\nprintf("%s\\n", tinyflow_label(heard));\n\n/* or as the sound arrives, in pieces of any length: a hop'
            " costs one frame */\ntinyflow_stream_push(samples, count);\nheard = tinyflow_stream_classify(); /* -1"
            " until a whole clip was heard */"
        )
        notes = _FIXED_NOTE if fixed else _FLOAT_NOTE
    return template.format(
        name=_plain(compiled.name),
        version=__version__,
        rows=rows,
        usage=usage,
        fpu=fpu,
        notes=notes,
        macs=compiled.macs,
        model_bytes=compiled.model_bytes,
        arena_bytes=compiled.arena_bytes,
        **{
            side: f"int8 {_shape(port)}, real = {port.scale:.9g} * (q - ({port.zero_point}))"
            for side, port in (("input", compiled.input), ("output", compiled.output))
        },
    )
