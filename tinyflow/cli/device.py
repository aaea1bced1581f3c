"""Commands to a running firmware: run, validate, profile. --emulator says where it runs, --runtime what runs the network in it."""

from pathlib import Path

import click

from tinyflow.cli.command import Failed, command, enter, where
from tinyflow.errors import TinyflowError
from tinyflow.show import Console


@command("run", recipe=True, tflite=True, board="mps2-an386")
@click.option("--wav", type=click.Path(path_type=Path), help="say which word the board hears in this recording")
@click.option("--input", "input_path", type=click.Path(path_type=Path), help="int8 rows (N, *input shape without batch), .npy")
@click.option("--output", "output_path", type=click.Path(path_type=Path), help="where the int8 answers go, .npy")
@where
def run_command(
    console: Console, runs: Path, board_name: str, wav: Path | None, input_path: Path | None, output_path: Path | None, emulator: str | None, port: str | None, **options
):
    """Self-test on the board; or one recording; or rows of int8 inputs, computed wholly on the board."""
    from tinyflow.deploy import run as on_board
    from tinyflow.pipeline import make_firmware

    if output_path and not input_path:
        raise TinyflowError(f"--output {output_path} without --input: there are no rows to answer", "--input X.npy, int8 rows (N, *input shape without batch)")
    if output_path and output_path.is_dir():
        raise TinyflowError(f"--output {output_path} is a folder", "name the .npy file to write")
    rows = on_board.read_rows(input_path) if input_path else None
    board, compiled, firmware, _ = make_firmware(enter(console, runs, **options), board_name, emulator, port)
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
@where
def validate(console: Console, runs: Path, board_name: str, input_path: Path | None, rows: int, seed: int | None, emulator: str | None, port: str | None, **options):
    """The board's answers against the tflite_micro interpreter, bit for bit; with a front end, the parity gate."""
    from tinyflow.deploy.run import read_rows
    from tinyflow.deploy.validate import validate as validate_stage
    from tinyflow.pipeline import make_firmware

    x = read_rows(input_path) if input_path else None
    run = enter(console, runs, seed=seed, **options)
    board, compiled, firmware, _ = make_firmware(run, board_name, emulator, port)
    audio = None
    if compiled.frontend and x is None:
        from tinyflow.demo import parity_audio

        audio = parity_audio(run)
    result = validate_stage(firmware, board, compiled, x=x, n=rows, seed=seed or 0, audio=audio, progress=console.progress)
    console.validation(result)
    if not result["passed"]:
        raise Failed(f"{board.name} differs from the reference: {result.get('reason', 'see --json')}", "report it with the JSON of `tinyflow validate --json`", result)
    return result


@command("profile", recipe=True, tflite=True, board="mps2-an386")
@where
def profile(console: Console, runs: Path, board_name: str, emulator: str | None, port: str | None, **options):
    """Per layer and front-end step: counts, sizes, stack; pictures beside the JSON."""
    from tinyflow.deploy.profile import profile as profile_stage
    from tinyflow.pipeline import make_firmware

    run = enter(console, runs, **options)
    board, compiled, firmware, _ = make_firmware(run, board_name, emulator, port)
    result = profile_stage(firmware, board, compiled, run.folder.profile(board.name, run.runtime), console.progress).to_dict()
    console.profile(result, run.folder.profile(board.name, run.runtime))
    return result
