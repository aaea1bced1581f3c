"""board.yaml, read and checked."""

from difflib import get_close_matches
from pathlib import Path

from tinyflow.board.core import read_core, refuse_old_keys
from tinyflow.board.facts import Board
from tinyflow.board.folders import board_folders
from tinyflow.board.schema import read_yaml, validated
from tinyflow.errors import TinyflowError

KEYS = "docs/boards.md lists the keys"


def board_names() -> list[str]:
    """The boards that have names here: tinyflow's own, those of plug-ins and the user's."""
    return list(board_folders())


def load_board(name: str) -> Board:
    """The board ``name``: tinyflow's, a plug-in's or the user's; or a path to a folder with a board.yaml."""
    path = _folder(name) / "board.yaml"
    value = read_yaml(path)
    if "emulator" in value:
        raise TinyflowError(
            f"{path}: emulator is {value['emulator']!r}: where a board runs is not its own fact",
            "each command chooses it: --emulator",
        )
    if isinstance(value.get("console"), dict) and "device" in value["console"]:
        raise TinyflowError(
            f"{path}: console.device is {value['console']['device']!r}, which is this machine's, no fact of a board",
            "take it out; each command finds it by the probe's USB id, or takes --port",
        )
    refuse_old_keys(value, path)
    if "core" in value:
        value["core"] = read_core(value["core"], path)
    facts = {"name": path.parent.absolute().name, "folder": str(path.parent.resolve()), **value}
    return validated(Board, facts, path, KEYS)


def _folder(name: str) -> Path:
    if Path(name, "board.yaml").is_file():
        return Path(name)
    folders = board_folders()
    if name in folders:
        return folders[name].path
    near = get_close_matches(name, folders, 1)
    raise TinyflowError(
        f"no board {name!r}",
        f"did you mean {near[0]!r}?" if near else f"`tinyflow boards` lists: {', '.join(folders)}",
    )
