"""Runs the notebooks of docs/examples, each in a copy of that folder, and writes what they say into them.

    python docs/notebooks.py

A cell with the tag "varies" says what depends on the machine and its compilers: it is run, and its output is not kept.
tests/test_notebooks.py compares what the others say with what was kept.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).resolve().parent / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
SECONDS = 600  # a cell


def executed(path: Path, folder: Path) -> Any:
    """The notebook ``path`` as it is after a run in ``folder``, where what it reads lies. Errors: those of a cell."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [] if "varies" in cell.metadata.get("tags", ()) else [_plain(out) for out in cell.outputs]
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return notebook


def _plain(output: Any) -> Any:
    if output.output_type == "execute_result":
        output.execution_count = None
    return output


if __name__ == "__main__":
    for path in NOTEBOOKS:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(EXAMPLES, folder, dirs_exist_ok=True)
            nbformat.write(executed(path, Path(folder)), path)
