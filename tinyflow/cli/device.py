"""Commands to a running firmware: run, validate, profile, listen. --emulator says where it runs, --runtime what runs
the network in it.
"""

import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinyflow.cli.command import Failed, command, enter, enter_recipe, where
from tinyflow.errors import TinyflowError
from tinyflow.show import Reporter

if TYPE_CHECKING:
    from tinyflow.cli.results import Profiled
    from tinyflow.deploy.answers import Heard, Listened, RowsAnswered, SelfTest, Validation
    from tinyflow.deploy.artefact import Runtime
    from tinyflow.deploy.check import Checked
    from tinyflow.deploy.counts import SideBySide

RENEW = "if that is meant, write the baseline anew (--write-baseline in place of --baseline) and commit it"


def _hint(place, usual: str) -> str:
    """The way out of wrong answers: a flaw of the emulator where one is known, else ``usual``."""
    if place.where == "renode":
        from tinyflow.deploy.places.renode import known_flaw

        return known_flaw() or usual
    return usual


@command("run", recipe=True, tflite=True, board="mps2-an386")
@click.option("--wav", type=click.Path(path_type=Path), help="say which word the board hears in this recording")
@click.option(
    "--input", "input_path", type=click.Path(path_type=Path), help="int8 rows (N, *input shape without batch), .npy"
)
@click.option("--output", "output_path", type=click.Path(path_type=Path), help="where the int8 answers go, .npy")
@where
def run_command(
    reporter: Reporter,
    runs: Path,
    board_name: str,
    runtime: "Runtime",
    wav: Path | None,
    input_path: Path | None,
    output_path: Path | None,
    emulator: str | None,
    port: str | None,
    **options,
) -> "SelfTest | RowsAnswered | Heard":
    """Self-test on the board; or one recording; or rows of int8 inputs, computed wholly on the board."""
    from tinyflow.deploy import run as on_board
    from tinyflow.pipeline import make_firmware

    if output_path and not input_path:
        raise TinyflowError(
            f"--output {output_path} without --input: there are no rows to answer",
            "--input X.npy, int8 rows (N, *input shape without batch)",
        )
    if output_path and output_path.is_dir():
        raise TinyflowError(f"--output {output_path} is a folder", "name the .npy file to write")
    rows = on_board.read_rows(input_path) if input_path else None
    target, _ = make_firmware(enter(reporter, runs, **options), board_name, runtime, emulator, port)
    if wav:
        heard = on_board.hear_file(target, wav)
        reporter.heard(heard)
        return heard
    if rows is not None:
        answers, answered = on_board.run_rows(target, rows, reporter.progress)
        if output_path:
            on_board.write_rows(output_path, answers)
            answered = replace(answered, output=output_path)
        reporter.rows(answered)
        return answered
    result = on_board.selftest(target)
    reporter.selftest(result)
    if not result.passed:
        name = target.board.name
        raise Failed(
            f"the self-test failed on {name}: {result.reason}",
            _hint(target.place, f"tinyflow validate --board {name} finds the first layer that differs"),
            result,
        )
    return result


@command("validate", recipe=True, tflite=True, board="mps2-an386")
@click.option(
    "--input",
    "input_path",
    type=click.Path(path_type=Path),
    help="int8 rows (N, *input shape without batch), .npy; default: random",
)
@click.option("--rows", default=8, show_default=True, help="random rows")
@where
def validate(
    reporter: Reporter,
    runs: Path,
    board_name: str,
    runtime: "Runtime",
    input_path: Path | None,
    rows: int,
    seed: int | None,
    emulator: str | None,
    port: str | None,
    **options,
) -> "Validation":
    """The board's answers against TFLM's interpreter or our reference kernels, bit for bit; the front end's parity."""
    from tinyflow.deploy.run import read_rows
    from tinyflow.deploy.validate import validate as validate_stage
    from tinyflow.pipeline import make_firmware

    x = read_rows(input_path) if input_path else None
    run = enter(reporter, runs, seed=seed, **options)
    target, _ = make_firmware(run, board_name, runtime, emulator, port)
    audio = run.parity_audio() if target.compiled.frontend and x is None else None
    result = validate_stage(target, x=x, n=rows, seed=seed or 0, audio=audio, progress=reporter.progress)
    reporter.validation(result)
    if not result.passed:
        raise Failed(
            f"{target.board.name} differs from the reference: {result.reason}",
            _hint(target.place, "report it with the JSON of `tinyflow validate --json`"),
            result,
        )
    return result


def limits(function):
    """--baseline and what belongs to it; the function gets ``limits`` as a tinyflow.deploy.check.Limits."""

    @functools.wraps(function)
    def run(
        *args, baseline: Path | None, write_baseline: Path | None, tolerance: str, tolerance_accuracy: float, **kwargs
    ):
        from tinyflow.deploy.baseline import parse_tolerance
        from tinyflow.deploy.check import Limits

        return function(
            *args, limits=Limits(baseline, write_baseline, parse_tolerance(tolerance), tolerance_accuracy), **kwargs
        )

    for option in (
        click.option(
            "--tolerance-accuracy",
            default=1.0,
            show_default=True,
            type=click.FloatRange(0),
            help="points of 100 that an accuracy may lose",
        ),
        click.option(
            "--tolerance",
            default="2%",
            show_default=True,
            help="by how much a size or a count may be worse than the baseline's",
        ),
        click.option(
            "--write-baseline", type=click.Path(path_type=Path), help="write this profile's figures, to be committed"
        ),
        click.option(
            "--baseline", type=click.Path(path_type=Path), help="fail when a figure is worse than in this file"
        ),
    ):
        run = option(run)
    return run


@command("profile", recipe=True, tflite=True, board="mps2-an386")
@click.option("--estimate", "estimate_name", help="a real board of the same core, to estimate the time on")
@click.option(
    "--compare", "compared", metavar="aot,tflm", help="both runtimes side by side, and whether they agree bit for bit"
)
@limits
@where
def profile(
    reporter: Reporter,
    runs: Path,
    board_name: str,
    runtime: "Runtime",
    emulator: str | None,
    port: str | None,
    estimate_name: str | None,
    compared: str | None,
    limits,
    **options,
) -> "Profiled | SideBySide":
    """Per layer and front-end step: counts, sizes, stack; pictures beside the JSON. With --baseline, what got worse."""
    if compared is not None:
        if estimate_name or limits.baseline or limits.write:
            raise TinyflowError(
                "--compare is of two runtimes; --estimate and baselines are of one", "leave one of the two out"
            )
        return _compare(reporter, compared, board_name, emulator, port, runs=runs, **options)
    from tinyflow.board import load_board
    from tinyflow.cli.results import Profiled
    from tinyflow.deploy.baseline import describe
    from tinyflow.deploy.profile import profile as profile_stage
    from tinyflow.pipeline import make_firmware

    was = limits.read()
    estimate = load_board(estimate_name) if estimate_name else None
    run = enter(reporter, runs, **options)
    target, _ = make_firmware(run, board_name, runtime, emulator, port)
    limits.expect(was, target)
    folder = run.folder.profile(target.board.name, runtime)
    counted = profile_stage(target, folder, reporter.progress, estimate)
    reporter.profile(counted, folder)
    comparison = limits.compare(was, counted)
    reporter.compared(comparison, limits)
    result = Profiled(**vars(counted), comparison=comparison)
    if comparison and comparison.worse:
        raise Failed(
            f"{target.board.name} is worse than {limits.baseline} allows: "
            + "; ".join(map(describe, comparison.worse)),
            RENEW,
            result,
        )
    return result


def _compare(
    reporter: Reporter,
    compared: str,
    board_name: str,
    emulator: str | None,
    port: str | None,
    seed: int | None,
    **options,
) -> "SideBySide":
    from tinyflow.deploy.compare import RUNTIMES, compare_runtimes
    from tinyflow.pipeline import make_firmware

    if sorted(name.strip() for name in compared.split(",")) != sorted(RUNTIMES):
        raise TinyflowError(f"--compare {compared}", f"the runtimes are {' and '.join(RUNTIMES)}: --compare aot,tflm")
    run = enter(reporter, seed=seed, **options)
    target, _ = make_firmware(run, board_name, "aot", emulator, port)
    tflm = None
    if target.place.where != "host":  # there tflite_micro plays the other part
        tflm = make_firmware(run, board_name, "tflm", emulator, port)[0].firmware
    folder = run.folder.profile(target.board.name, "compared")
    result = compare_runtimes(target, tflm, folder, seed or 0, reporter.progress)
    reporter.runtimes(result, folder)
    if result.equal < result.rows:
        hint = f"tinyflow validate --board {target.board.name} --runtime tflm says which is right"
        raise Failed(
            f"aot and tflm differ on {target.board.name}: {result.equal} of {result.rows} rows agree",
            hint,
            result,
        )
    return result


@command("check", recipe=True, tflite=True, board="mps2-an386")
@limits
@where
def check(
    reporter: Reporter,
    runs: Path,
    board_name: str,
    runtime: "Runtime",
    seed: int | None,
    emulator: str | None,
    port: str | None,
    limits,
    **options,
) -> "Checked":
    """What CI asks: self-test, validate and profile in one, failing on lost parity and on what got worse than
    --baseline.
    """
    from tinyflow.deploy.check import check as check_stage
    from tinyflow.pipeline import make_firmware

    was = limits.read()
    run = enter(reporter, runs, seed=seed, **options)
    target, _ = make_firmware(run, board_name, runtime, emulator, port)
    audio = run.parity_audio() if target.compiled.frontend else None
    result = check_stage(
        target,
        audio,
        limits,
        was,
        run.folder.profile(target.board.name, runtime),
        seed or 0,
        reporter.progress,
    )
    reporter.checked(result)
    if not result.passed:
        worse_only = all(reason.startswith("regression") for reason in result.reasons)
        hint = RENEW if worse_only else _hint(target.place, f"tinyflow validate --board {target.board.name} says more")
        raise Failed(f"{target.board.name} failed: " + "; ".join(result.reasons), hint, result)
    return result


@command("listen", recipe=True, tflite=True, board="mps2-an386")
@click.option(
    "--wav",
    type=click.Path(path_type=Path),
    help="a recording of any length, streamed to the board; without: the board's own microphone",
)
@click.option("--seconds", type=float, help="of the microphone  [default: until Ctrl-C]")
@where
def listen(
    reporter: Reporter,
    runs: Path,
    board_name: str,
    runtime: "Runtime",
    wav: Path | None,
    seconds: float | None,
    emulator: str | None,
    port: str | None,
    **options,
) -> "Listened":
    """Words as the board hears them, in a long recording or through its microphone, and what a
    second of audio costs.
    """
    from tinyflow.board import load_board
    from tinyflow.deploy import listen as stage
    from tinyflow.pipeline import make_firmware

    if tflite := options.pop("tflite"):
        raise TinyflowError(
            f"{tflite} is a foreign model: it takes features, not audio",
            "leave --tflite out: listen with a model that a recipe makes",
        )
    if wav and seconds is not None:
        raise TinyflowError(
            f"--seconds {seconds:g} is of a microphone, and --wav {wav} ends by itself", "leave one of the two out"
        )
    audio = stage.read_long(wav) if wav else None
    if not wav:
        stage.must_have_microphone(load_board(board_name))
    run = enter_recipe(reporter, runs, **options)
    target, _ = make_firmware(run, board_name, runtime, emulator, port)
    if audio is not None:
        result = replace(stage.listen_to(target, audio, run.listen, reporter.progress, reporter.word), wav=wav)
    else:
        with stage.until_interrupted(seconds) as going:
            result = stage.listen_microphone(target, run.listen, going, reporter.word)
    reporter.listened(result)
    return result
