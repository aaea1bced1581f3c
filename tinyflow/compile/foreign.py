"""Entry half-way: a foreign int8 model, already a .tflite file."""

from pathlib import Path

from tinyflow.artefacts import atomic_folder
from tinyflow.compile.artefact import CompiledModel, load_compiled
from tinyflow.compile.lower import lower, without_pictures
from tinyflow.progress import Progress, silent


def compile_tflite(path: Path | str, out: Path, progress: Progress = silent, reference: bool = False) -> CompiledModel:
    """Compiles the int8 model ``path`` into the folder ``out``, whole or not at all.

    reference: with the reference kernels, which are slow and whose C is the definition.
    Errors: not a TFLite file, an operator, type or shape we do not support (named with its tensor), more than one
    input or output, or one that is not int8.
    """
    path = Path(path)
    progress(f"compile {path.name}", 0, 1)
    with atomic_folder(out) as folder:
        model = lower(path, folder, path.stem, reference)
        model.write()
    model = load_compiled(out)
    note = f"{len(model.layers)} layers, {model.macs:,} MACs, arena {model.arena_bytes:,} B (planned)"
    note = "; ".join(filter(None, (note, without_pictures())))
    progress(f"compile {path.name}", 1, 1, note)
    return model
