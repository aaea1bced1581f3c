"""What a search hands on is read back, and a damaged folder is named."""

import subprocess
import sys

import pytest
from tone_dataset import every_operation

from tinyflow.errors import TinyflowError
from tinyflow.search import load_search
from tinyflow.search.artefact import save_search

WARNINGS = ("skip connections dominate",)


def test_it_is_read_back(tmp_path):
    genotype = every_operation(("a", "b"))
    save_search(tmp_path, genotype, {"epochs": [{"epoch": 1}]}, WARNINGS, "chosen")
    result = load_search(tmp_path)
    assert (result.folder, result.genotype, result.warnings, result.data_choice) == (
        tmp_path,
        genotype,
        WARNINGS,
        "chosen",
    )
    assert result.history["epochs"] == [{"epoch": 1}]


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("history.json", "{}", "another version"),
        ("history.json", None, "does not exist"),
        ("genotype.json", "[]", "genotype"),
    ],
)
def test_a_broken_folder_is_named(tmp_path, name, text, words):
    save_search(tmp_path, every_operation(("a", "b")), {}, (), "chosen")
    (tmp_path / name).unlink() if text is None else (tmp_path / name).write_text(text)
    with pytest.raises(TinyflowError, match=words) as error:
        load_search(tmp_path)
    assert name in error.value.message and error.value.hint


@pytest.mark.parametrize(
    "module, absent",
    [
        ("tinyflow.search", {"torch", "numpy"}),
        ("tinyflow.search.searching", {"tensorflow", "onnx", "pydantic", "ray", "matplotlib"}),
    ],
)
def test_imports_stay_light(module, absent):
    script = f"import sys, {module}; print(*{absent!r} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == ""
    )
