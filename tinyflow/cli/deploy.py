"""Commands from a network to a board: compile, build, run, validate, profile, flash, export."""

import shlex
from pathlib import Path

import click

from tinyflow.cli.command import Failed, at_port, command, dry, enter, serial, stages
from tinyflow.errors import TinyflowError
from tinyflow.show import Console


@command("compile", recipe=True, tflite=True)
@dry
@click.option("--board", "-b", "board_name", help="say whether the model fits this board; without: for every board")
def compile_command(console: Console, runs: Path, dry_run: bool, board_name: str | None, **options):
    """Network to ONNX, int8 TFLite, a memory plan and C."""
    from tinyflow.board import board_names, load_board
    from tinyflow.compile import load_compiled

    boards = [load_board(name) for name in ([board_name] if board_name else board_names())]
    run = enter(console, runs, **options)
    result = stages(console, run, "compile", None, dry_run)
    if not dry_run:
        compiled = load_compiled(run.folder.compile)
        result["compiled"] = console.compiled(compiled, boards)
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


@command("export", recipe=True, tflite=True)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="folder to write; an earlier export in it is replaced")
@click.option("--fixed", is_flag=True, help="the front end in integers, for cores without FPU")
@click.option("--force", is_flag=True, help="replace the folder, whatever is in it")
def export(console: Console, runs: Path, out: Path, fixed: bool, force: bool, **options):
    """A self-contained folder of C for any project: cc *.c, CMake, CubeIDE, Zephyr, PlatformIO."""
    from tinyflow.compile import load_compiled
    from tinyflow.deploy.export import export as export_stage

    run = enter(console, runs, **options)
    run.make("compile")
    result = export_stage(load_compiled(run.folder.compile), out, force, fixed)
    console.say(f"wrote {len(result['files'])} files to {result['folder']}; try it: cd {shlex.quote(result['folder'])} && cc -O2 *.c && ./a.out")
    return result
