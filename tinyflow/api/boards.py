"""The boards that there are."""

from tinyflow.board import Board, board_names, load_board


def boards() -> tuple[Board, ...]:
    """Every board that a name is enough for: tinyflow's, those of plug-ins, and the user's (docs/boards.md)."""
    return tuple(map(load_board, board_names()))


def found(board: Board | str) -> Board:
    """A board itself, or by its name or folder. TinyflowError: there is none."""
    return board if isinstance(board, Board) else load_board(str(board))
