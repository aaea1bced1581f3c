"""Boards that are not tinyflow's own: of a folder of the user's, and of a plug-in (docs/boards.md)."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from keyword_model import keyword_model, keyword_tflite

from tinyflow.artefacts import BOARDS, FIRMWARE
from tinyflow.board import board_folders, board_names, load_board, user_boards
from tinyflow.board.folders import VARIABLE
from tinyflow.cli import main
from tinyflow.deploy.build import build
from tinyflow.deploy.image.sources import image_sources
from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import MfccConfig

PAGE = BOARDS.parent / "docs" / "boards.md"
OWN = sorted(path.parent.name for path in BOARDS.glob("*/board.yaml"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty folder to work in, and no boards of this machine's user."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.delenv(VARIABLE, raising=False)


def boards_in(folder: Path, *names: str, of: str = "mps2-an386", change=lambda text: text) -> Path:
    for name in names:
        shutil.copytree(BOARDS / of, folder / name)
        board = folder / name / "board.yaml"
        board.write_text(change(board.read_text()))
    return folder


def plug_in(folder: Path, monkeypatch, value: str = "acme_boards", code: str = "") -> Path:
    """An installed distribution acme-boards 1.2, as pip leaves it: a package with a board, and its entry point."""
    boards_in(folder / "acme_boards", "acme-one")
    (folder / "acme_boards" / "__init__.py").write_text(code)
    facts = folder / "acme_boards-1.2.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-boards\nVersion: 1.2\n")
    (facts / "entry_points.txt").write_text(f"[tinyflow.boards]\nacme = {value}\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "acme_boards", raising=False)
    return folder / "acme_boards"


def boards_said(capsys, *options: str) -> dict[str, dict]:
    main(["boards", "--json", *options])
    return {board["name"]: board for board in json.loads(capsys.readouterr().out)["boards"]}


def test_tinyflows_own_are_all_there_are(capsys):
    assert board_names() == OWN and {folder.origin for folder in board_folders().values()} == {"tinyflow"}
    assert {board["origin"] for board in boards_said(capsys).values()} == {"tinyflow"}


def test_a_folder_is_named_or_lies_here(tmp_path, monkeypatch, capsys):
    folder = boards_in(tmp_path / "ours", "mine", "yours")
    said = boards_said(capsys, "--boards", str(folder))
    assert sorted(said) == sorted([*OWN, "mine", "yours"])
    assert said["mine"]["origin"] == str(folder) and said["mine"]["folder"] == str(folder / "mine")
    assert board_names() == OWN  # of that command alone
    with user_boards(Path("../ours")):
        monkeypatch.chdir(tmp_path)  # what was named stays named
        assert load_board("mine").name == "mine"
    folder.rename(tmp_path / "boards")
    assert load_board("yours").folder == str(tmp_path / "boards" / "yours")
    assert boards_said(capsys)["mine"]["origin"] == "boards"
    main(["boards"])
    assert re.search(r"^ yours .* boards *$", capsys.readouterr().out, re.M)


def test_a_folder_without_boards_is_an_error_only_where_it_was_named(tmp_path, monkeypatch):
    (tmp_path / "boards").mkdir()
    monkeypatch.chdir(tmp_path)
    assert board_names() == OWN
    with user_boards(Path("boards")), pytest.raises(TinyflowError, match="holds no board") as caught:
        board_names()
    assert "--board PATH" in caught.value.hint
    with user_boards(BOARDS / "host"), pytest.raises(TinyflowError, match="holds no board"):  # one board, not a folder
        load_board("host")


def test_two_boards_of_one_name_are_an_error_that_names_both(tmp_path):
    boards_in(tmp_path / "ours", "nucleo-l4r5zi", "fine")
    with user_boards(tmp_path / "ours"), pytest.raises(TinyflowError) as caught:
        load_board("nucleo-l4r5zi")
    assert str(BOARDS / "nucleo-l4r5zi") in caught.value.message and "(of tinyflow)" in caught.value.message
    assert str(tmp_path / "ours" / "nucleo-l4r5zi") in caught.value.message and "rename" in caught.value.hint
    with user_boards(tmp_path / "ours"):
        assert load_board(str(tmp_path / "ours" / "nucleo-l4r5zi")).core.name == "cortex-m4f"  # a path is no name


def test_a_second_checkout_of_tinyflow_brings_no_second_boards(tmp_path):
    shutil.copytree(BOARDS, tmp_path / "boards")
    with user_boards(tmp_path / "boards"):
        assert {folder.origin for folder in board_folders().values()} == {"tinyflow"}
    with open(tmp_path / "boards" / "nucleo-l4r5zi" / "openocd.cfg", "a") as file:
        file.write("# mine\n")
    with user_boards(tmp_path / "boards"), pytest.raises(TinyflowError, match="two boards are called 'nucleo-l4r5zi'"):
        board_names()


def test_every_command_that_may_name_a_board_takes_the_folder(capsys):
    from tinyflow.cli import commands

    options = {
        name: {option.name for option in command.params if option.expose_value}
        for name, command in commands.commands.items()
    }
    naming = {
        name for name, its in options.items() if its & {"board_name", "estimate_name"} or name in ("sweep", "boards")
    }
    assert {"build", "run", "compile", "search", "flash", "check"} < naming
    assert not {name for name in naming if "boards_folder" not in options[name]}


def test_a_plug_in_brings_boards(tmp_path, monkeypatch, capsys):
    package = plug_in(tmp_path / "site", monkeypatch)
    assert load_board("acme-one").folder == str(package / "acme-one")
    assert boards_said(capsys)["acme-one"]["origin"] == "acme-boards 1.2"
    boards_in(tmp_path / "ours", "acme-one", change=lambda text: text + "# mine\n")
    with user_boards(tmp_path / "ours"), pytest.raises(TinyflowError, match=r"acme-boards 1\.2") as caught:
        board_names()
    assert str(package / "acme-one") in caught.value.message


def test_a_plug_in_may_say_its_folder_by_a_function(tmp_path, monkeypatch):
    boards_in(tmp_path / "data", "acme-two")
    code = f"import pathlib\ndef boards():\n    return pathlib.Path({str(tmp_path / 'data')!r})\n"
    plug_in(tmp_path / "site", monkeypatch, "acme_boards:boards", code)
    assert set(board_names()) - set(OWN) == {"acme-two"}


@pytest.mark.parametrize(
    "value, code, said",
    [
        ("acme_boards", "raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("acme_boards:absent", "", "absent"),
        ("acme_boards:number", "number = 7", "neither a package nor a function"),
        ("acme_boards:boards", "def boards(): return '/nowhere/at/all'", "there is no /nowhere/at/all/NAME/board.yaml"),
    ],
)
def test_a_broken_plug_in_is_named_with_the_way_out(tmp_path, monkeypatch, value, code, said):
    plug_in(tmp_path / "site", monkeypatch, value, code)
    with pytest.raises(TinyflowError, match=re.escape(said)) as caught:
        board_names()
    assert "acme-boards 1.2" in caught.value.message and "pip uninstall acme-boards" in caught.value.hint


def test_what_board_yaml_names_is_found_beside_it(tmp_path):
    """OpenOCD's script, Renode's platform, a driver: the names in a board of the user's are of its own folder."""
    folder = boards_in(tmp_path / "ours", "mine", of="nucleo-l4r5zi")
    with open(folder / "mine" / "board.yaml", "a") as file:
        file.write("microphone: drum\n")
    (folder / "mine" / "drum.c").write_text('#include "microphone.h"\n')
    with user_boards(folder):
        board = load_board("mine")
    for name in (board.probe.openocd.config, board.renode.platform):
        assert Path(board.folder, name).is_file() and Path(board.folder).parent == folder
    assert folder / "mine" / "drum.c" in image_sources(board, listens=True).app


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc: make setup")
@pytest.mark.parametrize("where", ["port", "../port"])
def test_a_port_of_ones_own_lies_beside_board_yaml(tmp_path, where):
    folder = boards_in(tmp_path / "ours", "mine", change=lambda text: re.sub("(?m)^port: .*", f"port: {where}", text))
    board = load_board(str(folder / "mine"))
    with pytest.raises(TinyflowError, match="no port") as caught:
        image_sources(board)
    assert "mps2" in caught.value.hint and "cortexm" not in caught.value.hint and str(folder) in caught.value.hint
    port = Path(board.folder, where)
    shutil.copytree(FIRMWARE / "port" / "mps2", port)
    compiled = keyword_model(tmp_path / "model")
    first = build(compiled, board, tmp_path / "first")
    assert f"board/{where}/port.c" in image_sources(board).hashes(board)
    with open(port / "port.c", "a") as file:
        file.write("int of_mine(void) { return 7; }\n")
    second = build(compiled, board, tmp_path / "second")
    assert first.build_id != second.build_id


@pytest.mark.slow
@pytest.mark.qemu
def test_the_plug_in_of_the_page_runs(tmp_path, monkeypatch, capsys):
    """docs/boards.md: its entry point, with the board of its first recipe, built and run by name."""
    page = PAGE.read_text()
    (entry,) = re.findall(r'\[project\.entry-points\."tinyflow\.boards"\]\n(\w+) = "([\w.:]+)"', page)
    board = re.search(r"```yaml\n(.*?)```", page.partition("## Add a board")[2], re.S)[1]
    package = plug_in(tmp_path / "site", monkeypatch, entry[1])
    (package / "acme-one" / "board.yaml").write_text(board)
    (tmp_path / "model.tflite").write_bytes(keyword_tflite(*MfccConfig().shape, 8))
    main(["build", "--tflite", str(tmp_path / "model.tflite"), "--board", "acme-one", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["firmware"]["board"] == "acme-one" and said["firmware"]["stack_reserved_bytes"] == 4096
    main(["validate", "--tflite", str(tmp_path / "model.tflite"), "--board", "acme-one", "--json"])
    assert json.loads(capsys.readouterr().out)["passed"]
