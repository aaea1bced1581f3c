"""The library's names are those of docs/library.md, with these signatures; they cost nothing until they are used."""

import ast
import inspect
import os
import re
import subprocess
import sys
import textwrap
from functools import cached_property
from pathlib import Path

import pytest

import tinyflow

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "library.md").read_text()


def signatures() -> dict[str, str]:
    """Name -> the rest of its line, of the list in docs/library.md."""
    block = re.search(r"<!-- functions -->\n```\n(.*?)```", PAGE, re.DOTALL)[1]
    return {re.match(r"[\w.]+", line)[0]: line for line in block.splitlines() if line}


def signature(name: str, function: ast.FunctionDef, is_property: bool) -> str:
    """As the page writes it: without the types of what goes in."""
    arguments = function.args
    for argument in (*arguments.args, *arguments.kwonlyargs):
        argument.annotation = None
    if arguments.args and arguments.args[0].arg == "self":
        del arguments.args[0]
    # a name in quotes is one that is imported for types alone
    result = ast.unparse(function.returns).replace("'", "").replace('"', "")
    return f"{name} -> {result}" if is_property else f"{name}({ast.unparse(arguments)}) -> {result}"


def source(what: object) -> ast.FunctionDef:
    return ast.parse(textwrap.dedent(inspect.getsource(what))).body[0]


def test_the_page_has_the_signatures():
    found = {}
    for name in tinyflow.__all__:
        value = getattr(tinyflow, name)
        if inspect.isfunction(value):
            found[name] = signature(name, source(value), False)
    for kind in (tinyflow.Model, tinyflow.OnBoard):
        for name, value in vars(kind).items():
            if not name.startswith("_"):
                name = f"{kind.__name__}.{name}"
                function = {property: "fget", cached_property: "func"}.get(type(value))
                found[name] = signature(name, source(getattr(value, function) if function else value), bool(function))
    assert found == signatures()


def test_the_page_and_all_have_the_same_names():
    table = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    functions = [name for name in signatures() if "." not in name]
    assert sorted([*table, *functions]) == sorted(tinyflow.__all__) and len(set(table)) == len(table)
    assert set(tinyflow.__all__) <= set(dir(tinyflow))


def test_what_checkers_see_is_what_is_there():
    tree = ast.parse((ROOT / "tinyflow" / "__init__.py").read_text())
    guarded = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {alias.asname: f"{node.module}" for node in guarded.body for alias in node.names}
    assert {name: f"tinyflow.{home}" for name, home in tinyflow._HOME.items()} == seen
    for name, home in seen.items():
        value = getattr(tinyflow, name)
        assert value is getattr(sys.modules[home], name) and value.__name__ == name


def test_no_name_is_a_modules():
    """``import tinyflow.x`` would put the module in its place."""
    modules = {path.stem for path in (ROOT / "tinyflow").iterdir()}
    assert not modules & set(tinyflow.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'compile_onnx'"):
        tinyflow.compile_onnx  # noqa: B018


def python(code: str, *options: str, cwd: Path | None = None) -> str:
    done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_it_imports_next_to_nothing():
    said = python(
        "import sys; before = set(sys.modules); import tinyflow\n"
        "print(*sorted(name for name in set(sys.modules) - before if '.' not in name or 'tinyflow' in name))\n"
        "tinyflow.TinyflowError; print('numpy' in sys.modules)"
    )
    imported, numpy = said.splitlines()
    assert set(imported.split()) - sys.stdlib_module_names == {"tinyflow", "tinyflow.version"} and numpy == "False"


def test_a_foreign_model_needs_only_the_base(tmp_path):
    from firmware_models import small_network

    (tmp_path / "small.tflite").write_bytes(small_network((24, 10, 1)))
    heavy = ("torch", "tensorflow", "onnx", "onnxruntime", "ray", "torchaudio", "soundfile", "safetensors")
    python(
        f"import sys\nfor name in {heavy}: sys.modules[name] = None\n"
        "import tinyflow, numpy\n"
        "model = tinyflow.compile_tflite('small.tflite')\n"
        "x = numpy.zeros((1, 24, 10, 1), numpy.int8)\n"
        "assert (model.run(x) == model.run(x, board='host')).all() and model.report.fits\n"
        "model.export('c'), model.build('firmware', 'host'), model.profile('host')",
        "-W",
        "error::ResourceWarning",
        cwd=tmp_path,
    )


SCRIPT = """
import numpy as np
from numpy.typing import NDArray

import tinyflow


def progress(task: str, done: int, total: int, note: str = "") -> None:
    pass


def answers(path: str, x: NDArray[np.int8]) -> NDArray[np.int8]:
    with tinyflow.compile_tflite(path, board="nucleo-l4r5zi", progress=progress) as model:
        report: tinyflow.CompiledNetwork = model.report
        sizes: dict[str, int] = {name: fit.ram_bytes for name, fit in report.boards.items()}
        fits: bool = report.fits["nucleo-l4r5zi"] and bool(sizes)
        last: int = max(item.last for item in model.plan.placed)
        counted: tinyflow.Profile = model.on("mps2-an386", emulator="qemu").profile()
        checked: tinyflow.Validation = model.validate(x)
        files: tuple[str, ...] = model.export("c").files
        firmware: tinyflow.Firmware = model.build("firmware")
        print(fits, last, counted.layers[0].units, checked.passed, files, firmware.flash_bytes)
        return model.run(x, board=tinyflow.load_board("mps2-an386"))


def learn() -> tinyflow.TrainedModel:
    recipe: tinyflow.Recipe = tinyflow.load_recipe("demo-search", {"train.epochs": 2})
    try:
        found: tinyflow.SearchResult = tinyflow.search_network(recipe)
        print(found.genotype.labels, recipe.train.epochs)
    except tinyflow.TinyflowError as error:
        print(error.message, error.hint)
    return tinyflow.train_model(recipe, runs="elsewhere")


names: list[str] = [board.name for board in tinyflow.boards()]
"""
WRONG = (
    ("tinyflow.compile_tflit('a')", 'Module has no attribute "compile_tflit"'),
    ("tinyflow.compile_tflite(3)", "arg-type"),
    ("tinyflow.compile_tflite('a').report.arena", "attr-defined"),
    ("tinyflow.compile_tflite('a').on('b', emulator='quemu')", "arg-type"),
    ("tinyflow.train_model('demo', progress=print)", "arg-type"),
)


@pytest.mark.slow
def test_a_typed_script_passes_mypy_strict_and_mistakes_in_it_do_not(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "wrong.py").write_text("\n".join(["import tinyflow", *(code for code, _ in WRONG)]) + "\n")
    assert (ROOT / "tinyflow" / "py.typed").is_file()
    # as for an installed package: what is wrong in tinyflow itself is not the script's; and as in the base size
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nstrict = true\nfollow_imports = silent\n"
        "[mypy-torch.*,torchaudio.*,safetensors.*,matplotlib.*,pydantic.*]\n"
        "follow_imports = skip\nignore_missing_imports = true\n"
    )
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "script.py", "wrong.py"]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert not done.stderr
    said = dict(re.findall(r"^wrong\.py:(\d+): error: (.*)$", done.stdout, re.MULTILINE))
    assert "script.py" not in done.stdout, done.stdout
    for line, (code, error) in enumerate(WRONG, 2):
        assert error in said.get(str(line), ""), f"{code}: {done.stdout}"
