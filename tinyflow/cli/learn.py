"""Commands from recordings to a trained network: data, search, sweep, train, evaluate."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinyflow.cli.command import command, dry, enter_recipe, load, stages
from tinyflow.errors import TinyflowError
from tinyflow.results import to_json
from tinyflow.show import Reporter

if TYPE_CHECKING:
    from tinyflow.cli.results import Followed, Made, Prepared, Searched
    from tinyflow.sweep.sweeping import SweepResult
    from tinyflow.train.evaluation import Evaluation


@command("data", recipe=True)
@dry
def data(reporter: Reporter, runs: Path, dry_run: bool, **options) -> "Prepared":
    """Prepare the clips: Speech Commands, your own words, or synthetic speech."""
    from tinyflow.cli.results import Prepared

    run = enter_recipe(reporter, runs, **options)
    made = stages(reporter, run, "data", None, dry_run)
    if dry_run:
        return Prepared(**made)
    summary = run.dataset().summary()
    reporter.dataset(summary)
    return Prepared(**made, dataset=summary)


@command("search", recipe=True)
@dry
@click.option(
    "--board", "-b", "board_name", help="overrides search.board: whose budget counts; costs are shown against it"
)
@click.option(
    "--processes", default=1, show_default=True, help="processes that share the search; under torchrun its own count"
)
def search(
    reporter: Reporter,
    runs: Path,
    dry_run: bool,
    board_name: str | None,
    processes: int,
    overrides: tuple[str, ...],
    **options,
) -> "Searched | Followed":
    """Search for cells and front end together. Ctrl-C checkpoints; the same command resumes."""
    from tinyflow.cli.results import Followed, Found, Searched
    from tinyflow.pipeline import follow_search
    from tinyflow.search import load_search

    if board_name:
        overrides += (f"search.board={board_name}",)
    run = enter_recipe(reporter, runs, overrides=overrides, **options)
    _ = run.search  # a recipe without one is refused
    if processes < 1:
        raise TinyflowError(f"--processes {processes}", "1 or more")
    run.processes = processes
    if int(os.environ.get("RANK", "0")) and not dry_run:  # torchrun's: the first process does all that only one should
        follow_search(run)
        return Followed(run.folder.root, int(os.environ["RANK"]))
    made = stages(reporter, run, "search", None, dry_run)
    if dry_run:
        return Searched(**made)
    result = load_search(run.folder.search)
    reporter.search(result)
    return Searched(**made, search=Found.of(result))


@command("sweep", recipe=True)
@click.option(
    "--axis",
    "axes",
    multiple=True,
    metavar="KEY=V1,V2,...",
    help=(
        "values of a key of the recipe, or of board.KEY: --axis search.seed=0,1 --axis"
        " search.board=mps2-an386,nucleo-l4r5zi"
    ),
)
@click.option("--samples", type=int, help="so many random combinations instead of all")
@click.option("--parallel", default=1, show_default=True, help="searches at a time, by Ray")
@click.option(
    "--train/--no-train",
    "trained",
    default=True,
    show_default=True,
    help="train every network found; else accuracy is the supernet proxy's",
)
def sweep(
    reporter: Reporter,
    runs: Path,
    axes: tuple[str, ...],
    samples: int | None,
    parallel: int,
    trained: bool,
    seed: int | None,
    **options,
) -> "SweepResult":
    """Many searches, and the Pareto front of accuracy, instructions and RAM."""
    from tinyflow.recipe import parse_yaml
    from tinyflow.sweep.sweeping import sweep as sweep_stage

    values = {}
    for axis in axes:
        key, separator, text = axis.partition("=")
        if not separator or not key or not text:
            raise TinyflowError(f"--axis {axis}: no KEY=V1,V2", "for example --axis search.seed=0,1")
        values[key] = parse_yaml(f"[{text}]")
    if not values:
        raise TinyflowError(
            "no --axis: there is nothing to sweep over",
            "for example --axis search.seed=0,1 --axis search.channels=8,16",
        )
    recipe = load(seed=None, **options)
    result = sweep_stage(
        recipe, values, runs / f"{recipe.name}-sweep", reporter.progress, parallel, samples, trained, seed or 0
    )
    reporter.sweep(result)
    return result


@command("train", recipe=True)
@dry
def train(reporter: Reporter, runs: Path, dry_run: bool, **options) -> "Made":
    """Train the genotype's network. Ctrl-C checkpoints; the same command resumes."""
    from tinyflow.cli.results import Made

    return Made(**stages(reporter, enter_recipe(reporter, runs, **options), "train", None, dry_run))


@command("evaluate", recipe=True)
def evaluate(reporter: Reporter, runs: Path, **options) -> "Evaluation":
    """Accuracy, balanced accuracy, per-class recall and confusion matrix of the final weights on the test split."""
    from tinyflow.artefacts import write_json
    from tinyflow.train import evaluate as evaluate_stage
    from tinyflow.train import load_trained

    run = enter_recipe(reporter, runs, **options)
    run.make("train")
    result = evaluate_stage(load_trained(run.folder.train), run.dataset(), "testing", run.recipe.train.device)
    run.folder.report.mkdir(parents=True, exist_ok=True)
    write_json(run.folder.report / "evaluation.json", to_json(result))
    reporter.evaluation(result)
    return result
