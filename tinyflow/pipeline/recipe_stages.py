"""The run of a recipe: data ─▶ (search ─▶) train ─▶ compile ─▶ build/<board>."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyflow.artefacts import RunFolder
from tinyflow.board import Board, load_board
from tinyflow.errors import TinyflowError
from tinyflow.network.genotype import Genotype, read_genotype
from tinyflow.pipeline import sources
from tinyflow.pipeline.firmware import BUILD
from tinyflow.pipeline.run import Run
from tinyflow.pipeline.stage import Image, Stage
from tinyflow.progress import Progress, silent
from tinyflow.recipe import Listen, Network, Recipe, Search
from tinyflow.recipe.keys import key_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tinyflow.data.dataset import Dataset


@dataclass
class RecipeRun(Run):
    """One recipe in one run folder."""

    recipe: Recipe = field(kw_only=True)
    processes: int = 1  # that share one search

    def stages(self) -> Sequence[Stage[Any]]:
        if self.recipe.search:
            return SEARCH_STAGES
        return STAGES

    @property
    def listen(self) -> Listen:
        return self.recipe.listen

    def said(self) -> dict[str, Any]:
        return self.recipe.to_dict()

    @property
    def seed(self) -> int | None:
        return self.recipe.train.seed

    def counts(self, stage: Stage[Any], key: str) -> bool:
        section, _, name = key.partition(".")
        keys = getattr(self.recipe, section)
        how = {item.name for item in fields(keys) if key_of(item).how} if is_dataclass(keys) else set()
        return super().counts(stage, key) and name not in how

    @property
    def search(self) -> Search:
        """The recipe's section. TinyflowError where it has none."""
        if self.recipe.search is None:
            raise TinyflowError(
                f"the recipe {self.recipe.name!r} has no search section",
                "--recipe demo-search, or add `search: {}` to it; docs/search.md",
            )
        return self.recipe.search

    def genotype(self) -> Genotype:
        """The genotype that was searched for, or the one that the recipe names, with the recipe's overrides; the task's
        labels are filled in when the data is known."""
        network = self.recipe.network
        searched = self.recipe.search is not None
        path = self.folder.search / "genotype.json" if searched else self.recipe.resolve(network.genotype)
        if not path.is_file() and not searched:
            raise TinyflowError(
                f"no genotype at {path}",
                "network.genotype names a file, relative to the recipe; configs/genotypes/ has three, and"
                " `tinyflow init` writes one",
            )
        return replace(read_genotype(path), **_overrides(network))

    def dataset(self) -> "Dataset":
        from tinyflow.data import load_dataset

        return load_dataset(self.folder.data)

    def parity_audio(self) -> "npt.NDArray[np.int16]":
        """Clips for the parity gate, int16 (deploy.parity_clips, samples), of every class in turn, from the validation
        split: the test split is for evaluation alone."""
        import numpy as np

        from tinyflow.convert.trained import choose

        split = self.dataset().split("validation")
        return np.ascontiguousarray(split.audio[choose(split.labels, self.recipe.deploy.parity_clips)])


def recipe_run(recipe: Recipe, runs: Path, progress: Progress = silent) -> RecipeRun:
    return RecipeRun(RunFolder(runs / recipe.name), progress, recipe=recipe)


def follow_search(run: RecipeRun) -> None:
    """Takes part in a search that torchrun spread over machines, as a process other than the first: that one makes the
    stages, on a disk that all see, and joins the process group when the data is there."""
    if run.plan("search")[-1].runs:
        _make_search(run, None)


# --- what each stage depends on, and how it is made -------------------------------------------------------------


def _what(section: Any) -> dict[str, Any]:
    """A section of the recipe without the keys that say how, and without later ones that say nothing."""
    said, usual = {}, type(section)()
    for item in fields(section):
        key, value = key_of(item), getattr(section, item.name)
        if not key.how and not (key.later and value == getattr(usual, item.name)):
            said[item.name] = _what(value) if is_dataclass(value) else value
    return said


def _overrides(network: Network) -> dict[str, Any]:
    keys = ("channels", "cells", "stem_stride", "architecture")
    return {key: value for key in keys if (value := getattr(network, key)) is not None}


def _data_part(run: RecipeRun, image: Image | None) -> Any:
    from tinyflow.data import source_fingerprint

    data = _what(run.recipe.data)
    if data["source"] != "synthetic":
        del data["synthetic"]
    return {"data": data, "source": source_fingerprint(run.recipe.data, Path(run.recipe.base))}


def _make_data(run: RecipeRun, image: Image | None) -> None:
    from tinyflow.data import prepare

    prepare(run.recipe.data, Path(run.recipe.base), run.folder.data, run.progress)


def _search_part(run: RecipeRun, image: Image | None) -> Any:
    board = _budget_board(run)
    return {"search": _what(run.search), "board": board.facts() if board else None}


def _budget_board(run: RecipeRun) -> Board | None:
    return load_board(run.search.board) if run.search.board else None


def _make_search(run: RecipeRun, image: Image | None) -> None:
    from tinyflow.search import run_search

    run_search(run.folder.data, run.search, run.folder.search, _budget_board(run), run.processes, run.progress)


def _train_part(run: RecipeRun, image: Image | None) -> Any:
    # what a search finds is an input, not a part: it is not known when the stages are planned
    genotype = _overrides(run.recipe.network) if run.recipe.search else run.genotype().identity()
    return {"train": _what(run.recipe.train), "genotype": genotype}


def _make_train(run: RecipeRun, image: Image | None) -> None:
    from tinyflow.train import train_model

    dataset, genotype = run.dataset(), run.genotype()
    if genotype.labels and genotype.labels != dataset.labels:
        raise TinyflowError(
            f"{run.recipe.network.genotype} is for the labels {list(genotype.labels)}, the data has"
            f" {list(dataset.labels)}",
            "leave the genotype's labels empty to take the task's, or change data.task",
        )
    genotype = genotype.with_task(dataset.task, dataset.labels)
    train_model(genotype, dataset, run.recipe.train, run.folder.train, run.progress)


def _make_compile(run: RecipeRun, image: Image | None) -> None:
    from tinyflow.convert import compile_trained
    from tinyflow.train import load_trained

    compile_trained(load_trained(run.folder.train), run.dataset(), run.recipe.compile, run.folder.compile, run.progress)


SEARCH_STAGES: tuple[Stage[Any], ...] = (
    Stage(
        "data",
        version=1,
        needs=(),
        part=_data_part,
        make=_make_data,
        packages=("numpy", "soundfile"),
        sections=("data",),
    ),
    Stage(
        "search",
        version=1,
        needs=("data",),
        part=_search_part,
        make=_make_search,
        packages=("torch", "torchaudio"),
        extra="train",
        sections=("search",),
    ),
    Stage(
        "train",
        version=1,
        needs=("data", "search"),
        part=_train_part,
        make=_make_train,
        packages=("torch", "torchaudio"),
        extra="train",
        sections=("train", "network"),
    ),
    Stage(
        "compile",
        version=2,
        needs=("data", "train"),
        part=lambda run, image: asdict(run.recipe.compile),
        make=_make_compile,
        sources=lambda run, image: sources.of_trained_compile(),
        packages=("torch", "onnx", "tensorflow", "tflite-micro", "tflite-runtime"),
        extra="convert",
        sections=("compile",),
    ),
    BUILD,
)
# A recipe that names its genotype: the same without the search.
STAGES: tuple[Stage[Any], ...] = tuple(
    replace(stage, needs=tuple(need for need in stage.needs if need != "search"))
    for stage in SEARCH_STAGES
    if stage.name != "search"
)
