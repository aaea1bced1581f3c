"""From a recipe to a network, in the run folders of the command line: what either made is found by the other."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tinyflow.extras import require
from tinyflow.pipeline import recipe_run
from tinyflow.progress import Progress, silent
from tinyflow.recipe import Recipe, find_recipe
from tinyflow.recipe import load_recipe as read_recipe
from tinyflow.results import to_json

if TYPE_CHECKING:
    from tinyflow.search.artefact import SearchResult
    from tinyflow.train.artefact import TrainedModel


def load_recipe(recipe: Path | str, values: Mapping[str, object] | None = None) -> Recipe:
    """The recipe in a file, or of a name in configs/, with ``values`` for some of its keys: {"train.epochs": 20}.

    Errors: no such recipe; an unknown key, or a value that it may not have.
    """
    said = (f"{key}={json.dumps(to_json(value), ensure_ascii=False)}" for key, value in (values or {}).items())
    return read_recipe(find_recipe(recipe), tuple(said))


def recipe_of(recipe: Recipe | Path | str) -> Recipe:
    return recipe if isinstance(recipe, Recipe) else load_recipe(recipe)


def search_network(
    recipe: Recipe | Path | str, *, runs: Path | str = "runs", progress: Progress = silent
) -> "SearchResult":
    """Searches for cells and front end together, as the recipe's search section says.

    recipe: itself, a file, or a name in configs/. runs: folder of the run folders; what is up to date there is not made
    again, and a search that was interrupted goes on. Errors: tinyflow[train] is not installed; no search section;
    what is wrong with the recordings; Interrupted, after Ctrl-C.
    """
    run = recipe_run(recipe_of(recipe), Path(runs), progress)
    _ = run.search  # a recipe without one is refused
    require(("train",), "search_network needs it")
    from tinyflow.search import load_search

    run.make("search")
    result: SearchResult = load_search(run.folder.search)
    return result


def train_model(
    recipe: Recipe | Path | str, *, runs: Path | str = "runs", progress: Progress = silent
) -> "TrainedModel":
    """Trains the network that the recipe names, or that its search finds.

    recipe, runs: as those of ``search_network``; a training that was interrupted goes on. Errors: tinyflow[train] is
    not installed; what is wrong with the recordings; Interrupted, after Ctrl-C.
    """
    run = recipe_run(recipe_of(recipe), Path(runs), progress)
    require(("train",), "train_model needs it")
    from tinyflow.train import load_trained

    run.make("train")
    trained: TrainedModel = load_trained(run.folder.train)
    return trained
