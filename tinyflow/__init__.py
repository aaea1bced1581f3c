"""tinyflow: from labelled audio to keyword-spotting firmware for a microcontroller.

The names here are the library (docs/library.md); each is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from tinyflow.version import __version__ as __version__

if TYPE_CHECKING:
    from tinyflow.api.boards import boards as boards
    from tinyflow.api.compiling import compile_recipe as compile_recipe
    from tinyflow.api.compiling import compile_tflite as compile_tflite
    from tinyflow.api.learning import load_recipe as load_recipe
    from tinyflow.api.learning import search_network as search_network
    from tinyflow.api.learning import train_model as train_model
    from tinyflow.api.model import Model as Model
    from tinyflow.api.model import OnBoard as OnBoard
    from tinyflow.board.facts import Board as Board
    from tinyflow.board.reading import load_board as load_board
    from tinyflow.compile.artefact import ArenaPlan as ArenaPlan
    from tinyflow.compile.artefact import Placed as Placed
    from tinyflow.compile.artefact import Port as Port
    from tinyflow.cost.board_fit import BoardFit as BoardFit
    from tinyflow.cost.report import CompiledNetwork as CompiledNetwork
    from tinyflow.deploy.answers import Validation as Validation
    from tinyflow.deploy.artefact import Firmware as Firmware
    from tinyflow.deploy.counts import Profile as Profile
    from tinyflow.deploy.export import Exported as Exported
    from tinyflow.errors import Interrupted as Interrupted
    from tinyflow.errors import TinyflowError as TinyflowError
    from tinyflow.progress import Progress as Progress
    from tinyflow.recipe.sections import Recipe as Recipe
    from tinyflow.search.artefact import SearchResult as SearchResult
    from tinyflow.train.artefact import TrainedModel as TrainedModel

_HOME = {
    "ArenaPlan": "compile.artefact",
    "Board": "board.facts",
    "BoardFit": "cost.board_fit",
    "CompiledNetwork": "cost.report",
    "Exported": "deploy.export",
    "Firmware": "deploy.artefact",
    "Interrupted": "errors",
    "Model": "api.model",
    "OnBoard": "api.model",
    "Placed": "compile.artefact",
    "Port": "compile.artefact",
    "Profile": "deploy.counts",
    "Progress": "progress",
    "Recipe": "recipe.sections",
    "SearchResult": "search.artefact",
    "TinyflowError": "errors",
    "TrainedModel": "train.artefact",
    "Validation": "deploy.answers",
    "boards": "api.boards",
    "compile_recipe": "api.compiling",
    "compile_tflite": "api.compiling",
    "load_board": "board.reading",
    "load_recipe": "api.learning",
    "search_network": "api.learning",
    "train_model": "api.learning",
}
__all__ = ["__version__", *_HOME]

if not TYPE_CHECKING:  # a checker would take any name for one of these

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
