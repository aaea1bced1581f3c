"""Two ways to a Model: somebody's .tflite, and a recipe."""

from pathlib import Path

from tinyflow.api.boards import found
from tinyflow.api.model import Model
from tinyflow.board import Board
from tinyflow.pipeline import foreign_run, recipe_run
from tinyflow.progress import Progress, silent
from tinyflow.recipe import Recipe


def compile_tflite(
    path: Path | str,
    board: Board | str | None = None,
    *,
    runs: Path | str | None = None,
    progress: Progress = silent,
) -> Model:
    """The int8 model in the file ``path``, compiled.

    board: that it is for. runs: a folder of run folders, as the command line's --runs, which is kept: what is up to
    date in it is not made again. Without, a temporary one, which goes with the Model.
    Errors: no such file or board; what the model has that tinyflow does not compile, named with its tensor.
    """
    chosen = None if board is None else found(board)
    return Model(lambda folder: foreign_run(Path(path), folder, progress), chosen, runs)


def compile_recipe(
    recipe: Recipe | Path | str,
    board: Board | str | None = None,
    *,
    runs: Path | str | None = "runs",
    progress: Progress = silent,
) -> Model:
    """The network of a recipe, trained and compiled: data, search, train and compile are made unless they are there.

    recipe: itself, a file, or a name in configs/. board, runs: as those of ``compile_tflite``; None: a temporary
    folder. Errors: those of ``train_model``; an extra that is not installed.
    """
    from tinyflow.api.learning import recipe_of

    chosen, read = None if board is None else found(board), recipe_of(recipe)
    return Model(lambda folder: recipe_run(read, folder, progress), chosen, runs)
