"""What boards/ says: a board is a folder of data, its core a row of cores.yaml. Facts alone; where a board runs now is
a Place (deploy/places/place.py). Only a new family needs C: a port.
"""

from tinyflow.board.core import Core, core_names
from tinyflow.board.counter import Counter
from tinyflow.board.emulator import Qemu, Renode
from tinyflow.board.facts import Board, Estimate, Memory, SerialConsole
from tinyflow.board.folders import BoardFolder, board_folders, user_boards
from tinyflow.board.probe import Chip, DebugProbe
from tinyflow.board.reading import board_names, load_board

__all__ = [
    "Board",
    "BoardFolder",
    "Chip",
    "Core",
    "Counter",
    "DebugProbe",
    "Estimate",
    "Memory",
    "Qemu",
    "Renode",
    "SerialConsole",
    "board_folders",
    "board_names",
    "core_names",
    "load_board",
    "user_boards",
]
