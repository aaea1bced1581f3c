"""Commands for a first look: a demo, a recipe of one's own, what is installed, the boards."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinyflow.cli.command import Failed, command, enter_recipe
from tinyflow.errors import TinyflowError
from tinyflow.show import Reporter

if TYPE_CHECKING:
    from tinyflow.cli.results import BoardsHere, Initialised
    from tinyflow.demo import Demonstrated
    from tinyflow.doctor import Diagnosis


@command("demo")
@click.option("--recipe", "-r", default="demo", show_default=True, help="recipe: a YAML file or a name in configs/")
@click.option(
    "--runs", default="runs", type=click.Path(path_type=Path), show_default=True, help="folder of the run folders"
)
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="override a key of the recipe: --set train.epochs=5"
)
def demo(reporter: Reporter, recipe: str, runs: Path, overrides: tuple[str, ...]) -> "Demonstrated":
    """Everything once: speech, training, firmware for two boards, self-test and parity on an emulator."""
    from tinyflow.demo import run_demo

    result = run_demo(
        enter_recipe(reporter, runs, recipe=recipe, overrides=overrides, data_path=None, seed=None, device="")
    )
    reporter.demo(result)
    if not result.passed:
        raise Failed(
            "the demo's checks did not all pass (see the table)",
            "tinyflow validate --board mps2-an386 says more",
            result,
        )
    return result


@command("init")
@click.argument("path", default="recipe.yaml", type=click.Path(path_type=Path))
@click.option(
    "--data",
    "data_path",
    type=click.Path(path_type=Path),
    help="folder of recordings that the recipe is for  [default: synthetic speech]",
)
@click.option(
    "--ci",
    type=click.Choice(["github", "gitlab"]),
    help="a workflow that checks PATH (a recipe, or an int8 .tflite) on emulated boards",
)
@click.option(
    "--wheel",
    default="",
    metavar="PATH_OR_URL",
    help="with --ci: tinyflow's wheel, in the project or at a URL, that the workflow installs",
)
@click.option("--force", is_flag=True, help="overwrite; with --ci the workflow alone")
def init(
    reporter: Reporter, path: Path, data_path: Path | None, ci: str | None, wheel: str, force: bool
) -> "Initialised":
    """Write a commented recipe with every key, its unit and its default; with --ci a project's workflow."""
    from tinyflow.ci import write_ci
    from tinyflow.cli.results import Initialised
    from tinyflow.template import write_template

    workflow: Path | None = None
    written: tuple[Path | None, Path | None] = (None, None)
    if wheel and not ci:
        raise TinyflowError(f"--wheel {wheel} without --ci: only a workflow installs it", "--ci github, or --ci gitlab")
    if ci:
        if path.suffix == ".tflite" and not path.is_file():
            raise TinyflowError(f"{path} does not exist", "name an int8 .tflite file, or a recipe")
        workflow = write_ci(ci, path, force, wheel=wheel)
    if not ci or not path.exists():
        written = write_template(path, force and not ci, data_path)
        reporter.say(
            f"wrote {written[0]} and its genotype {written[1]}; next: tinyflow build --recipe {shlex.quote(str(path))}"
            " --board mps2-an386"
        )
    if ci:
        first = "" if wheel else "set TINYFLOW_WHEEL in it (or --wheel), then "
        reporter.say(f"wrote {workflow}; next: {first}write and commit a baseline for each of its boards:")
        option = "--tflite" if path.suffix == ".tflite" else "--recipe"
        reporter.say(
            f"  tinyflow check {option} {shlex.quote(str(path))} --board mps2-an386 --write-baseline ci/mps2-an386.json"
        )
    return Initialised(workflow, *written)


@command("doctor")
def doctor(reporter: Reporter) -> "Diagnosis":
    """In which size tinyflow is installed, what is there, what is missing, and the one command that mends it."""
    from tinyflow.doctor import diagnose

    diagnosis = diagnose()
    reporter.doctor(diagnosis)
    return diagnosis


@command("boards", boards=True)
def boards(reporter: Reporter) -> "BoardsHere":
    """The boards tinyflow builds for, and which of them run here now: under an emulator, on this
    machine, plugged in.
    """
    from tinyflow.board import board_folders, load_board
    from tinyflow.cli.results import BoardHere, BoardsHere
    from tinyflow.deploy.places.readiness import places_here

    folders = board_folders()
    found = [load_board(name) for name in folders]
    places, origins = places_here(found), {name: folder.origin for name, folder in folders.items()}
    reporter.boards(found, places, origins)
    return BoardsHere(tuple(BoardHere.of(board, places[board.name], origins[board.name]) for board in found))
