"""What commands share: their options, the recipe and the run they work on."""

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyflow.errors import TinyflowError
from tinyflow.show import Reporter

if TYPE_CHECKING:
    from tinyflow.pipeline import Image, RecipeRun, Run


class Failed(TinyflowError):
    """A check that did not pass: with --json the document has its ``result`` beside error and hint."""

    def __init__(self, message: str, hint: str, result: object):
        super().__init__(message, hint)
        self.result = result


def command(name: str, recipe: bool = False, tflite: bool = False, board: str | None = None, boards: bool = False):
    """A command with the options all share; its function gets a Reporter first and returns the result.

    boards: it names boards, as all that read a recipe may, so that it takes --boards.
    """

    def wrap(function):
        @functools.wraps(function)
        def run(*args, as_json: bool, quiet: bool, boards_folder: Path | None = None, **kwargs):
            from tinyflow.board import user_boards

            reporter = Reporter(as_json=as_json, quiet=quiet)
            with reporter, user_boards(boards_folder):
                result = function(reporter, *args, **kwargs)
            reporter.finish(result)

        options = [
            click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout"),
            click.option("--quiet", "-q", is_flag=True, help="no progress, no messages"),
        ]
        if recipe:
            options += [
                click.option("--recipe", "-r", help="recipe: a YAML file or a name in configs/  [default: demo]"),
                click.option(
                    "--set",
                    "overrides",
                    multiple=True,
                    metavar="KEY=VALUE",
                    help="override a key of the recipe: --set train.epochs=20",
                ),
                click.option("--data", "data_path", help="folder of recordings: overrides data.source and data.path"),
                click.option("--seed", type=int, help="overrides the seeds of data, search and train"),
                click.option("--device", default="", help="auto, cpu, cuda: where torch searches and trains"),
                click.option(
                    "--runs",
                    default="runs",
                    type=click.Path(path_type=Path),
                    help="folder of the run folders",
                    show_default=True,
                ),
            ]
        if tflite:
            options.append(
                click.option(
                    "--tflite", type=click.Path(path_type=Path), help="a foreign int8 model instead of the recipe's"
                )
            )
        if recipe or boards:
            options.append(
                click.option(
                    "--boards",
                    "boards_folder",
                    type=click.Path(path_type=Path),
                    help="folder of board folders of your own  [default: TINYFLOW_BOARDS, or ./boards]",
                )
            )
        if board is not None:
            chosen: dict[str, Any] = {"default": board, "show_default": True} if board else {"required": True}
            options.append(click.option("--board", "-b", "board_name", help="see `tinyflow boards`", **chosen))
            options.append(
                click.option(
                    "--runtime",
                    default="aot",
                    show_default=True,
                    type=click.Choice(["aot", "tflm"]),
                    help="C straight from the compiler, or TFLM's interpreter (TFLM_ROOT)",
                )
            )
        for option in options:
            run = option(run)
        return click.command(name)(run)

    return wrap


def load(recipe: str | None, overrides: tuple[str, ...], data_path: str | None, seed: int | None, device: str):
    """The recipe with the command line's overrides applied."""
    from tinyflow.recipe import find_recipe, load_recipe

    for option, value in (("--recipe", recipe), ("--data", data_path)):
        if value == "":  # a shell variable that is not set, most likely: the default would be something else entirely
            raise TinyflowError(f"{option} is empty", "leave the option out for its default")
    path = find_recipe(recipe or "demo")
    sets = list(overrides)
    if data_path is not None:
        from tinyflow.data import source_of

        sets += [f"data.source={source_of(Path(data_path))}", f"data.path={json.dumps(str(Path(data_path).resolve()))}"]
    sections = ("train", "search") if load_recipe(path, tuple(sets)).search else ("train",)
    if seed is not None:
        sets += [f"{section}.seed={seed}" for section in ("data", *sections)]
    if device:
        sets += [f"{section}.device={device}" for section in sections]
    return load_recipe(path, tuple(sets))


def enter(reporter: Reporter, runs: Path, tflite: Path | None = None, **options: Any) -> "Run":
    """The run that a command works on: of the recipe, or of the foreign model."""
    from tinyflow.pipeline import foreign_run

    return foreign_run(tflite, runs, reporter.progress) if tflite else enter_recipe(reporter, runs, **options)


def enter_recipe(reporter: Reporter, runs: Path, **options: Any) -> "RecipeRun":
    """The run of a command that only a recipe has."""
    from tinyflow.pipeline import recipe_run

    return recipe_run(load(**options), runs, reporter.progress)


def stages(reporter: Reporter, run: "Run", target: str, image: "Image | None", dry_run: bool) -> dict[str, Any]:
    """Runs (or only plans) the stages up to ``target``; the fields of a Made."""
    steps = run.plan(target, image) if dry_run else run.make(target, image)
    reporter.steps(steps, dry_run)
    return {"run": run.folder.root, "dry_run": dry_run, "steps": tuple(steps)}


def where(function):
    """--emulator and --port: where the firmware runs."""
    function = click.option("--port", help="serial device of a real board's console  [default: the debug probe's]")(
        function
    )
    text = "where it runs; serial: the real board  [default: the board when one is plugged in, else its emulator]"
    return click.option("--emulator", type=click.Choice(["qemu", "renode", "serial"]), help=text)(function)


dry = click.option("--dry-run", is_flag=True, help="only say what would run, and why")
