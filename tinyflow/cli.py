"""The command line: parses, calls a stage, shows what came back. Nothing is computed here.

With --json stdout is one JSON document (on error {"error", "hint"}); progress and messages go to stderr.
"""

import functools
import json
import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from tinyflow import __version__
from tinyflow.errors import Interrupted, TinyflowError
from tinyflow.show import Console

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


class Failed(TinyflowError):
    """A check that did not pass: with --json the document has its ``result`` beside error and hint."""

    def __init__(self, message: str, hint: str, result: dict[str, Any]):
        super().__init__(message, hint)
        self.result = result


class Group(click.Group):
    """Lists the commands in the order of the pipeline, and suggests the nearest name."""

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands, in the order of the pipeline"):
            formatter.write_dl([(name, (command.help or "").splitlines()[0]) for name, command in self.commands.items()])

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(self, context, args):
        try:
            return super().resolve_command(context, args)
        except click.UsageError:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.commands, 1)
            raise TinyflowError(f"no command {args[0]!r}", f"did you mean `tinyflow {near[0]}`?" if near else "`tinyflow --help` lists them") from None


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def cli() -> None:
    """From labelled audio to keyword-spotting firmware for a microcontroller.

    New here?  tinyflow demo   runs everything once, on synthetic speech and an emulated board.
    """


def command(name: str, recipe: bool = False, tflite: bool = False, board: str | None = None):
    """A command with the options all share; its function gets a Console first and returns the JSON-able result."""

    def wrap(function):
        @functools.wraps(function)
        def run(*args, as_json: bool, quiet: bool, **kwargs):
            console = Console(as_json=as_json, quiet=quiet)
            with console:
                result = function(console, *args, **kwargs)
            console.finish(result)

        options = [
            click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout"),
            click.option("--quiet", "-q", is_flag=True, help="no progress, no messages"),
        ]
        if recipe:
            options += [
                click.option("--recipe", "-r", help="recipe: a YAML file or a name in configs/  [default: demo]"),
                click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="override a key of the recipe: --set train.epochs=20"),
                click.option("--data", "data_path", help="folder of recordings: overrides data.source and data.path"),
                click.option("--seed", type=int, help="overrides the seeds of data, search and train"),
                click.option("--device", default="", help="auto, cpu, cuda: where torch searches and trains"),
                click.option("--runs", default="runs", type=click.Path(path_type=Path), help="folder of the run folders", show_default=True),
            ]
        if tflite:
            options.append(click.option("--tflite", type=click.Path(path_type=Path), help="a foreign int8 model instead of the recipe's"))
        if board is not None:
            chosen: dict[str, Any] = {"default": board, "show_default": True} if board else {"required": True}
            options.append(click.option("--board", "-b", "board_name", help="see `tinyflow boards`", **chosen))
        for option in options:
            run = option(run)
        return cli.command(name)(run)

    return wrap


def load(recipe: str | None, overrides: tuple[str, ...], data_path: str | None, seed: int | None, device: str):
    """The recipe with the command line's overrides applied."""
    from tinyflow.recipe import load_recipe

    for option, value in (("--recipe", recipe), ("--data", data_path)):
        if value == "":  # a shell variable that is not set, most likely: the default would be something else entirely
            raise TinyflowError(f"{option} is empty", "leave the option out for its default")
    recipe = recipe or "demo"
    path = Path(recipe)
    if not path.suffix and not path.is_file():
        path = CONFIGS / f"{recipe}.yaml"
        if not path.is_file():
            from difflib import get_close_matches

            names = sorted(item.stem for item in CONFIGS.glob("*.yaml"))
            near = get_close_matches(recipe, names, 1)
            raise TinyflowError(f"no recipe {recipe!r}", f"did you mean {near[0]!r}?" if near else f"recipes: {', '.join(names)}, or a YAML file")
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


def enter(console: Console, runs: Path, tflite: Path | None = None, **options):
    """The Run that a command works on."""
    from tinyflow.pipeline import foreign_run, recipe_run

    if tflite:
        return foreign_run(tflite, runs, console.progress)
    return recipe_run(load(**options), runs, console.progress)


def stages(console: Console, run, target: str, board, dry_run: bool) -> dict[str, Any]:
    """Runs (or only plans) the stages up to ``target``."""
    steps = run.plan(target, board) if dry_run else run.make(target, board)
    console.steps(steps, dry_run)
    return {"run": str(run.folder.root), "dry_run": dry_run, "steps": [step.to_dict() for step in steps]}


def at_port(board, port: str | None):
    """``board`` with its console on the serial device that --port names."""
    from dataclasses import replace

    return replace(board, console=replace(board.console, device=port)) if port else board


serial = click.option("--port", help="serial device of a real board's console  [default: the debug probe's]")
dry = click.option("--dry-run", is_flag=True, help="only say what would run, and why")


@command("demo")
@click.option("--recipe", "-r", default="demo", show_default=True, help="recipe: a YAML file or a name in configs/")
@click.option("--runs", default="runs", type=click.Path(path_type=Path), show_default=True, help="folder of the run folders")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="override a key of the recipe: --set train.epochs=5")
def demo(console: Console, recipe: str, runs: Path, overrides: tuple[str, ...]):
    """Everything once: speech, training, firmware for two boards, self-test and parity on an emulator."""
    from tinyflow.demo import run_demo

    result = run_demo(enter(console, runs, recipe=recipe, overrides=overrides, data_path=None, seed=None, device=""))
    console.demo(result)
    if not result["passed"]:
        raise Failed("the demo's checks did not all pass (see the table)", "tinyflow validate --board mps2-an386 says more", result)
    return result


@command("init")
@click.argument("path", default="recipe.yaml", type=click.Path(path_type=Path))
@click.option("--data", "data_path", type=click.Path(path_type=Path), help="folder of recordings that the recipe is for  [default: synthetic speech]")
@click.option("--force", is_flag=True, help="overwrite")
def init(console: Console, path: Path, data_path: Path | None, force: bool):
    """Write a commented recipe with every key, its unit and its default."""
    from tinyflow.template import write_template

    written = write_template(path, force, data_path)
    console.say(f"wrote {written[0]} and its genotype {written[1]}; next: tinyflow build --recipe {shlex.quote(str(path))} --board mps2-an386")
    return {"recipe": str(written[0]), "genotype": str(written[1])}


@command("doctor")
def doctor(console: Console):
    """What is there, what is missing, and the one command that mends it."""
    from tinyflow.doctor import check

    checks = check()
    console.doctor(checks)
    return {"ok": all(item.ok or item.optional for item in checks), "checks": [item.__dict__ for item in checks]}


@command("boards")
def boards(console: Console):
    """The boards tinyflow builds for."""
    from dataclasses import asdict

    from tinyflow.board import board_names, load_board

    found = [load_board(name) for name in board_names()]
    console.boards(found)
    return {"boards": [asdict(board) for board in found]}


@command("data", recipe=True)
@dry
def data(console: Console, runs: Path, dry_run: bool, **options):
    """Prepare the clips: Speech Commands, your own words, or synthetic speech."""
    run = enter(console, runs, **options)
    result = stages(console, run, "data", None, dry_run)
    if not dry_run:
        result["dataset"] = run.dataset().summary()
        console.dataset(result["dataset"])
    return result


@command("search", recipe=True)
@dry
@click.option("--board", "-b", "board_name", help="overrides search.board: whose budget counts; costs are shown against it")
@click.option("--processes", default=1, show_default=True, help="processes that share the search; under torchrun its own count")
def search(console: Console, runs: Path, dry_run: bool, board_name: str | None, processes: int, overrides: tuple[str, ...], **options):
    """Search for cells and front end together. Ctrl-C checkpoints; the same command resumes."""
    from tinyflow.pipeline import follow_search
    from tinyflow.search import load_search

    if board_name:
        overrides += (f"search.board={board_name}",)
    run = enter(console, runs, overrides=overrides, **options)
    if run.recipe.search is None:
        raise TinyflowError(f"the recipe {run.recipe.name!r} has no search section", "--recipe demo-search, or add `search: {}` to it; docs/search.md")
    if processes < 1:
        raise TinyflowError(f"--processes {processes}", "1 or more")
    run.processes = processes
    if int(os.environ.get("RANK", "0")) and not dry_run:  # torchrun's: the first process does all that only one should
        follow_search(run)
        return {"run": str(run.folder.root), "rank": int(os.environ["RANK"])}
    result = stages(console, run, "search", None, dry_run)
    if not dry_run:
        result["search"] = console.search(load_search(run.folder.search))
    return result


@command("sweep", recipe=True)
@click.option("--axis", "axes", multiple=True, metavar="KEY=V1,V2,...", help="values of a key of the recipe, or of board.KEY: --axis search.seed=0,1 --axis search.board=mps2-an386,nucleo-l4r5zi")
@click.option("--samples", type=int, help="so many random combinations instead of all")
@click.option("--parallel", default=1, show_default=True, help="searches at a time, by Ray")
@click.option("--train/--no-train", "trained", default=True, show_default=True, help="train every network found; else accuracy is the supernet proxy's")
def sweep(console: Console, runs: Path, axes: tuple[str, ...], samples: int | None, parallel: int, trained: bool, seed: int | None, **options):
    """Many searches, and the Pareto front of accuracy, instructions and RAM."""
    from dataclasses import asdict

    from tinyflow.recipe import parse_yaml
    from tinyflow.search.sweep import sweep as sweep_stage

    values = {}
    for axis in axes:
        key, separator, text = axis.partition("=")
        if not separator or not key or not text:
            raise TinyflowError(f"--axis {axis}: no KEY=V1,V2", "for example --axis search.seed=0,1")
        values[key] = parse_yaml(f"[{text}]")
    if not values:
        raise TinyflowError("no --axis: there is nothing to sweep over", "for example --axis search.seed=0,1 --axis search.channels=8,16")
    recipe = load(seed=None, **options)
    if recipe.search is None:
        raise TinyflowError(f"the recipe {recipe.name!r} has no search section", "--recipe demo-search, or add `search: {}` to it; docs/search.md")
    result = sweep_stage(recipe, values, runs / f"{recipe.name}-sweep", console.progress, parallel, samples, trained, seed or 0)
    console.sweep(result)
    return asdict(result)


@command("train", recipe=True)
@dry
def train(console: Console, runs: Path, dry_run: bool, **options):
    """Train the genotype's network. Ctrl-C checkpoints; the same command resumes."""
    return stages(console, enter(console, runs, **options), "train", None, dry_run)


@command("evaluate", recipe=True)
def evaluate(console: Console, runs: Path, **options):
    """Accuracy, balanced accuracy, per-class recall and confusion matrix of the final weights on the test split."""
    from tinyflow.artefacts import write_json
    from tinyflow.train import evaluate as evaluate_stage
    from tinyflow.train import load_trained

    run = enter(console, runs, **options)
    run.make("train")
    result = evaluate_stage(load_trained(run.folder.train), run.dataset(), "testing", run.recipe.train.device).to_dict()
    run.folder.report.mkdir(parents=True, exist_ok=True)
    write_json(run.folder.report / "evaluation.json", result)
    console.evaluation(result)
    return result


@command("compile", recipe=True, tflite=True)
@dry
@click.option("--board", "-b", "board_name", help="say whether the model fits this board")
def compile_command(console: Console, runs: Path, dry_run: bool, board_name: str | None, **options):
    """Network to ONNX, int8 TFLite, a memory plan and C."""
    from tinyflow.compile import load_compiled

    board = None
    if board_name:
        from tinyflow.board import load_board

        board = load_board(board_name)
    run = enter(console, runs, **options)
    result = stages(console, run, "compile", None, dry_run)
    if not dry_run:
        compiled = load_compiled(run.folder.compile)
        result["compiled"] = console.compiled(compiled, board)
    return result


@command("build", recipe=True, tflite=True, board="")
@dry
def build(console: Console, runs: Path, board_name: str, dry_run: bool, **options):
    """Firmware for a board, running whatever stages are missing."""
    from tinyflow.board import load_board
    from tinyflow.deploy.artefact import load_firmware

    board = load_board(board_name)
    run = enter(console, runs, **options)
    result = stages(console, run, "build", board, dry_run)
    if not dry_run:
        firmware = load_firmware(run.folder.build(board.name))
        result["firmware"] = console.firmware(firmware)
    return result


@command("run", recipe=True, tflite=True, board="mps2-an386")
@click.option("--wav", type=click.Path(path_type=Path), help="say which word the board hears in this recording")
@click.option("--input", "input_path", type=click.Path(path_type=Path), help="int8 rows (N, *input shape without batch), .npy")
@click.option("--output", "output_path", type=click.Path(path_type=Path), help="where the int8 answers go, .npy")
@serial
def run_command(
    console: Console, runs: Path, board_name: str, wav: Path | None, input_path: Path | None, output_path: Path | None, port: str | None, **options
):
    """Self-test on the board; or one recording; or rows of int8 inputs, computed wholly on the board."""
    from tinyflow.deploy import run as on_board
    from tinyflow.pipeline import make_firmware

    if output_path and not input_path:
        raise TinyflowError(f"--output {output_path} without --input: there are no rows to answer", "--input X.npy, int8 rows (N, *input shape without batch)")
    if output_path and output_path.is_dir():
        raise TinyflowError(f"--output {output_path} is a folder", "name the .npy file to write")
    rows = on_board.read_rows(input_path) if input_path else None
    board, compiled, firmware, _ = make_firmware(enter(console, runs, **options), board_name)
    board = at_port(board, port)
    if wav:
        result = on_board.hear_file(firmware, board, compiled, wav)
        console.heard(result)
    elif rows is not None:
        answers, result = on_board.run_rows(firmware, board, compiled, rows, console.progress)
        if output_path:
            on_board.write_rows(output_path, answers)
            result["output"] = str(output_path)
        console.rows(result)
    else:
        result = on_board.selftest(firmware, board)
        console.selftest(result)
        if not result["passed"]:
            raise Failed(f"the self-test failed on {board.name}: {result.get('reason', 'see --json')}", f"tinyflow validate --board {board.name} finds the first layer that differs", result)
    return result


@command("validate", recipe=True, tflite=True, board="mps2-an386")
@click.option("--input", "input_path", type=click.Path(path_type=Path), help="int8 rows (N, *input shape without batch), .npy; default: random")
@click.option("--rows", default=8, show_default=True, help="random rows")
@serial
def validate(console: Console, runs: Path, board_name: str, input_path: Path | None, rows: int, seed: int | None, port: str | None, **options):
    """The board's answers against the tflite_micro interpreter, bit for bit; with a front end, the parity gate."""
    from tinyflow.deploy.run import read_rows
    from tinyflow.deploy.validate import validate as validate_stage
    from tinyflow.pipeline import make_firmware

    x = read_rows(input_path) if input_path else None
    run = enter(console, runs, seed=seed, **options)
    board, compiled, firmware, _ = make_firmware(run, board_name)
    audio = None
    if compiled.frontend and x is None:
        from tinyflow.demo import parity_audio

        audio = parity_audio(run)
    result = validate_stage(firmware, at_port(board, port), compiled, x=x, n=rows, seed=seed or 0, audio=audio, progress=console.progress)
    console.validation(result)
    if not result["passed"]:
        raise Failed(f"{board.name} differs from the reference: {result.get('reason', 'see --json')}", "report it with the JSON of `tinyflow validate --json`", result)
    return result


@command("profile", recipe=True, tflite=True, board="mps2-an386")
@serial
def profile(console: Console, runs: Path, board_name: str, port: str | None, **options):
    """Per layer and front-end step: counts, sizes, stack; pictures beside the JSON."""
    from tinyflow.deploy.profile import profile as profile_stage
    from tinyflow.pipeline import make_firmware

    run = enter(console, runs, **options)
    board, compiled, firmware, _ = make_firmware(run, board_name)
    result = profile_stage(firmware, at_port(board, port), compiled, run.folder.profile(board.name), console.progress).to_dict()
    console.profile(result, run.folder.profile(board.name))
    return result


@command("flash", recipe=True, tflite=True, board="nucleo-l4r5zi")
@click.option("--probe", help="serial number, when several probes are plugged in")
def flash(console: Console, runs: Path, board_name: str, probe: str | None, **options):
    """Program the board, verify, reset, and wait for the firmware's hello."""
    from tinyflow.deploy.flash import flash as flash_stage
    from tinyflow.pipeline import make_firmware

    board, _, firmware, _ = make_firmware(enter(console, runs, **options), board_name)
    result = flash_stage(firmware, board, probe, console.progress)
    console.flashed(result)
    return result


@command("runs")
@click.option("--runs", default="runs", type=click.Path(path_type=Path), show_default=True)
def runs_command(console: Console, runs: Path):
    """The run folders, their stages and figures."""
    from tinyflow.runs import list_runs

    found = list_runs(runs)
    console.runs(found, runs)
    return {"runs": found}


@command("clean")
@click.argument("names", nargs=-1)
@click.option("--runs", default="runs", type=click.Path(path_type=Path), show_default=True)
@click.option("--stage", help="only this stage's folder")
@click.option("--yes", is_flag=True, help="delete; without it only what would go is listed")
def clean(console: Console, names: tuple[str, ...], runs: Path, stage: str | None, yes: bool):
    """Delete run folders (all, or the named ones), or one stage of them."""
    from tinyflow.runs import clean as clean_runs

    result = clean_runs(runs, names, stage, yes)
    console.cleaned(result)
    return result


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments

    def fail(error: str, hint: str, status: int, result: dict[str, Any] | None = None) -> None:
        if "--json" in arguments:
            print(json.dumps({"error": error, "hint": hint, **(result or {})}, default=str))
        else:
            click.secho(f"error: {error}", fg="red", err=True)
            if hint:
                click.echo(f" hint: {hint}", err=True)
        sys.exit(status)

    try:
        cli.main(arguments, prog_name="tinyflow", standalone_mode=False)
    except TinyflowError as error:
        fail(error.message, error.hint, 130 if isinstance(error, Interrupted) else 1, getattr(error, "result", None))
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        fail(error.format_message(), f"`{context.command_path} --help` lists the options" if context else "", 2)
    except (KeyboardInterrupt, click.Abort):
        fail("interrupted", "run the same command again: finished stages are kept, training resumes from its checkpoint", 130)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tinyflow"):
            raise
        fail(f"the Python package {error.name!r} is not installed", "make setup, or pip install 'tinyflow[search,compile,deploy]'", 1)
    except BrokenPipeError:  # `tinyflow boards | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:
            fail(f"{error.filename}: {error.strerror}", "check the path, its permissions and the free space of its disk", 1)
        if "--json" not in arguments:
            raise
        traceback.print_exc()
        fail(f"{type(error).__name__}: {error}", "this is a bug in tinyflow: report it with the traceback on stderr", 1)


if __name__ == "__main__":
    main()
