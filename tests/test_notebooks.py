"""The notebooks of docs/examples run, without the network and far from the repository, and say what they say there."""

import importlib.util
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "docs" / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def runner():
    """docs/notebooks.py."""
    pytest.importorskip("nbclient", reason="needs nbclient and ipykernel: make setup")
    spec = importlib.util.spec_from_file_location("docs_notebooks", ROOT / "docs" / "notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def far_away(tmp_path, monkeypatch) -> Path:
    """A copy of docs/examples; what Jupyter keeps for its user is in there too."""
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    return tmp_path / "examples"


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_says_what_it_says_in_the_repository(notebook, far_away):
    import nbformat

    kept = nbformat.read(notebook, as_version=4)
    again = runner().executed(far_away / notebook.name, far_away)
    for before, after in zip(kept.cells, again.cells, strict=True):
        if before.cell_type == "code":
            assert before.outputs == after.outputs, (
                f"python docs/notebooks.py writes anew what follows\n{before.source}"
            )
    assert any(cell.outputs for cell in kept.cells if cell.cell_type == "code")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_what_depends_on_the_machine_is_not_kept(notebook):
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat: make setup")
    kept = nbformat.read(notebook, as_version=4)
    nbformat.validate(kept)
    text = notebook.read_text()
    assert str(ROOT) not in text and "/tmp" not in text and '"execution_count": null' in text
    for cell in kept.cells:
        if cell.cell_type == "code":
            assert cell.execution_count is None
            assert not ("varies" in cell.metadata.get("tags", ()) and cell.outputs)


def test_the_examples_model_is_small_and_its_recipe_is_here():
    assert sum(path.stat().st_size for path in EXAMPLES.iterdir()) < 100_000
    assert {"words.yaml", "words.py", "words.tflite", "words.npz"} <= {path.name for path in EXAMPLES.iterdir()}
