"""A .tflite from Python: its report, its plan, and its answers here and on boards."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from firmware_models import small_network
from json_documents import as_written

import tinyflow
from tinyflow.cli.results import Compiled
from tinyflow.results import to_json

SHAPE = (24, 10, 1)
BOARD = "mps2-an386"


def rows(count: int = 3, shape: tuple[int, ...] = SHAPE, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (count, *shape), dtype=np.int8)


@pytest.fixture(scope="module")
def tflite(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("foreign") / "small.tflite"
    path.write_bytes(small_network(SHAPE))
    return path


@pytest.fixture(scope="module")
def model(tflite, tmp_path_factory):
    with tinyflow.compile_tflite(tflite, runs=tmp_path_factory.mktemp("runs")) as made:
        yield made


def test_it_says_what_it_takes(model):
    assert (model.name, model.input.shape, model.output.shape, model.labels) == ("small", (1, *SHAPE), (1, 4), ())
    assert model.plan.arena_bytes == model.report.arena_bytes >= model.plan.bound_bytes
    assert {model.input.name, model.output.name} < {item.name for item in model.plan.placed}
    said = f"{model.report.layers} layers, arena {model.report.arena_bytes:,} B"
    assert repr(model) == f"<tinyflow.Model 'small': {said}>"


def test_the_report_is_what_the_command_line_says(model, tflite, tmp_path):
    command = [sys.executable, "-m", "tinyflow.cli", "compile", "--tflite", str(tflite), "--json"]
    runs = model.folder.parent
    said = subprocess.run([*command, "--runs", str(runs)], capture_output=True, text=True, check=True, cwd=tmp_path)
    ours = Compiled(run=model.folder, dry_run=False, steps=(), compiled=model.report)
    theirs = as_written("compile", json.loads(said.stdout))
    assert [step["runs"] for step in theirs["steps"]] == [False], "the same run folder: nothing is made again"
    assert to_json(ours)["compiled"] == theirs["compiled"]


def test_the_board_that_it_is_for_is_the_one_it_is_measured_by(tflite, tmp_path):
    board = tinyflow.load_board("nucleo-l4r5zi")
    for chosen in (board, "nucleo-l4r5zi", board.folder):
        with tinyflow.compile_tflite(tflite, board=chosen, runs=tmp_path) as model:
            assert model.report.fits == {"nucleo-l4r5zi": True}
            assert model.report.boards["nucleo-l4r5zi"].ram_limit == board.region("RAM").length


def test_boards_are_those_of_the_command_line():
    names = [board.name for board in tinyflow.boards()]
    assert {"host", BOARD, "nucleo-l4r5zi"} < set(names) and names == sorted(names)


def test_its_answers_here_are_the_oracles(model):
    oracle = pytest.importorskip("tinyflow.reference.oracle")
    pytest.importorskip("tflite_micro")
    x = rows(16)
    answers = model.run(x)
    assert answers.dtype == np.int8 and answers.shape == (16, 4)
    np.testing.assert_array_equal(answers, oracle.invoke(model.folder / "compile" / "model_int8.tflite", x))
    np.testing.assert_array_equal(model.run(x[:1]), answers[:1])


@pytest.mark.qemu
def test_its_answers_on_a_board_are_those_here(model):
    x = rows()
    np.testing.assert_array_equal(model.run(x, board=BOARD), model.run(x))
    chip = model.on()
    assert chip.board.name == BOARD and chip.firmware.board == BOARD
    assert repr(chip) == f"<tinyflow.OnBoard 'small' on {BOARD} (qemu)>"
    np.testing.assert_array_equal(chip.run(x), model.run(x))


@pytest.mark.qemu
def test_validate_and_profile_there(model, tmp_path):
    checked = model.validate(board=BOARD, rows=2)
    assert (checked.passed, checked.rows, checked.equal, checked.reason) == (True, 2, 2, "")
    assert model.on(BOARD).validate(rows(4)).source == "given"
    counted = model.profile(BOARD, tmp_path / "profile", estimate="nucleo-l4r5zi")
    assert counted.unit == "instructions" and counted.layers_agree and len(counted.layers) == model.report.layers
    assert counted.estimate.board == "nucleo-l4r5zi" and (tmp_path / "profile" / "profile.json").is_file()


def test_on_this_machine_as_firmware(model):
    x = rows()
    chip = model.on("host")
    np.testing.assert_array_equal(chip.run(x), model.run(x))
    assert chip.profile().unit == "nanoseconds"


def test_export_and_build_into_folders_of_ones_own(model, tmp_path):
    exported = model.export(tmp_path / "c")
    assert exported.folder == tmp_path / "c" and (tmp_path / "c" / "model.c").is_file()
    built = model.build(tmp_path / "fw", "host")
    assert built.elf == tmp_path / "fw" / "firmware.elf"
    built.check()
    written = {path.name for path in (tmp_path / "fw").iterdir()}
    assert {"firmware.elf", "firmware.json", "generated"} <= written
    assert not {"manifest.json", "compile_commands.json"} & written, "of the run folder"
    assert model.build(tmp_path / "fw", "host") == built, "an earlier build is replaced"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(tinyflow.TinyflowError, match="mine is there, and holds no firmware") as error:
        model.build(tmp_path / "mine", "host")
    assert error.value.hint and (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


# --- mistakes


@pytest.mark.parametrize(
    "call, message, hint",
    [
        (lambda model: model.run(np.zeros((2, *SHAPE))), "float64 [2, 24, 10, 1]", "quantise"),
        (lambda model: model.run(np.zeros(SHAPE, np.int8)), "int8 [24, 10, 1]", "x[None]"),
        (lambda model: model.run(np.zeros((2, 10, 24, 1), np.int8)), "int8 [2, 10, 24, 1]", "that shape"),
        (lambda model: model.run(rows(), board="mps2-an368"), "no board 'mps2-an368'", "mps2-an386"),
        (lambda model: model.on("host", emulator="qemu"), "board host does not run on qemu", "it runs on: host"),
        (lambda model: model.on("host").validate(np.zeros(3)), "float64 [3]", "quantise"),
        (lambda model: model.on("host").run("abc"), "small takes int8", "quantise"),
        (lambda model: model.validate(board="host", rows=0), "0 rows", "at least 1"),
    ],
)
def test_mistakes_are_named_with_the_way_out(model, call, message, hint):
    with pytest.raises(tinyflow.TinyflowError) as error:
        call(model)
    assert message in error.value.message and hint in error.value.hint


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("absent.tflite", None, "absent.tflite does not exist"),
        ("rubbish.tflite", b"rubbish, and long enough", "rubbish.tflite is not a TFLite flatbuffer"),
    ],
)
def test_a_file_that_is_no_model(tmp_path, name, content, message):
    if content:
        (tmp_path / name).write_bytes(content)
    before = temporary()
    with pytest.raises(tinyflow.TinyflowError, match=message) as error:
        tinyflow.compile_tflite(tmp_path / name)
    assert error.value.hint and temporary() == before, "its temporary folder is gone at once"


def test_an_unknown_board_shows_before_the_file_is_read(tmp_path):
    with pytest.raises(tinyflow.TinyflowError, match="no board 'nukleo'"):
        tinyflow.compile_tflite(tmp_path / "absent.tflite", board="nukleo")


# --- folders


def temporary() -> set[Path]:
    return set(Path(os.environ.get("TMPDIR", "/tmp")).glob("tinyflow-*"))


def test_nothing_is_written_but_in_its_folder(tflite, tmp_path, monkeypatch, capfd):
    (tmp_path / "here").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    model = tinyflow.compile_tflite(tflite)
    model.run(rows())
    chip = model.on("host")
    assert model.folder.is_relative_to(tmp_path / "temporary")
    assert not list((tmp_path / "here").iterdir()) and [path.name for path in tflite.parent.iterdir()] == [tflite.name]
    del model
    assert chip.run(rows()).shape == (3, 4), "a firmware outlives the name of its model"
    del chip
    assert not list((tmp_path / "temporary").iterdir()), "it went with the model"
    assert capfd.readouterr() == ("", ""), "the library prints nothing"


def test_a_folder_that_was_named_stays_and_is_used_again(tflite, tmp_path):
    said = []

    def progress(task: str, done: int, total: int, note: str = "") -> None:
        said.append((task, note))

    with tinyflow.compile_tflite(tflite, runs=tmp_path, progress=progress) as model:
        assert model.folder.parent == tmp_path
    assert (model.folder / "compile" / "compiled.json").is_file() and ("compile", "not made yet") in said
    del said[:]
    tinyflow.compile_tflite(tflite, runs=tmp_path, progress=progress)
    assert said == [("compile", "up to date")]


def test_a_model_that_was_closed_says_so(tflite):
    with tinyflow.compile_tflite(tflite) as model:
        chip = model.on("host")
    assert not model.folder.exists() and model.report.arena_bytes, "what it said stays"
    for call in (lambda: model.run(rows()), lambda: model.on("host"), lambda: chip.run(rows()), chip.profile):
        with pytest.raises(tinyflow.TinyflowError, match="the model 'small' was closed") as error:
            call()
        assert "runs=FOLDER" in error.value.hint


# --- several at once


def test_two_models_in_one_process(tflite, tmp_path):
    (tmp_path / "small.tflite").write_bytes(small_network(SHAPE, classes=3, seed=7))
    one, other = tinyflow.compile_tflite(tflite), tinyflow.compile_tflite(tmp_path / "small.tflite")
    x = rows(8)
    first, second = one.run(x), other.run(x)
    assert first.shape == (8, 4) and second.shape == (8, 3)
    np.testing.assert_array_equal(one.run(x), first)
    one.close()
    np.testing.assert_array_equal(other.run(x), second)


def test_threads_share_a_model_and_make_others(tflite, model):
    x = rows(32)
    expected = model.run(x)

    def shared(index: int) -> np.ndarray:
        return np.concatenate([model.run(x[index : index + 4]) for index in range(0, 32, 4)])

    def own(index: int) -> np.ndarray:
        with tinyflow.compile_tflite(tflite) as mine:
            return mine.run(x)

    with ThreadPoolExecutor(4) as pool:
        answers = [*pool.map(shared, range(8)), *pool.map(own, range(2))]
    for answer in answers:
        np.testing.assert_array_equal(answer, expected)


def test_threads_that_want_one_board_build_it_once(tflite, tmp_path):
    said: list[str] = []

    def progress(task: str, done: int, total: int, note: str = "") -> None:
        if task == "build":
            said.append(note)

    model = tinyflow.compile_tflite(tflite, runs=tmp_path, progress=progress)
    with ThreadPoolExecutor(3) as pool:
        builds = {chip.firmware.build_id for chip in pool.map(lambda _: model.on("host"), range(3))}
    assert len(builds) == 1 and said == ["not made yet", "up to date", "up to date"]
