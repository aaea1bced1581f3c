"""Commands from a network to a board: compile, build, flash, export."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinyflow.cli.command import command, dry, enter, stages
from tinyflow.show import Reporter

if TYPE_CHECKING:
    from tinyflow.cli.results import Built, Compiled, FlashPlanned
    from tinyflow.deploy.artefact import Runtime
    from tinyflow.deploy.export import Exported
    from tinyflow.deploy.flash.flashing import Flashed


@command("compile", recipe=True, tflite=True)
@dry
@click.option("--board", "-b", "board_name", help="say whether the model fits this board; without: for every board")
def compile_command(reporter: Reporter, runs: Path, dry_run: bool, board_name: str | None, **options) -> "Compiled":
    """Network to ONNX, int8 TFLite, a memory plan and C."""
    from tinyflow.board import board_names, load_board
    from tinyflow.cli.results import Compiled
    from tinyflow.compile import load_compiled
    from tinyflow.cost.report import CompiledNetwork

    boards = [load_board(name) for name in ([board_name] if board_name else board_names())]
    run = enter(reporter, runs, **options)
    made = stages(reporter, run, "compile", None, dry_run)
    if dry_run:
        return Compiled(**made)
    compiled = load_compiled(run.folder.compile)
    network = CompiledNetwork.of(compiled, boards)
    reporter.compiled(compiled, list(network.boards.values()))
    return Compiled(**made, compiled=network)


@command("build", recipe=True, tflite=True, board="")
@dry
def build(reporter: Reporter, runs: Path, board_name: str, runtime: "Runtime", dry_run: bool, **options) -> "Built":
    """Firmware for a board, running whatever stages are missing."""
    from tinyflow.board import load_board
    from tinyflow.cli.results import Built
    from tinyflow.deploy.artefact import load_firmware
    from tinyflow.pipeline import Image

    image = Image(load_board(board_name), runtime)
    run = enter(reporter, runs, **options)
    made = stages(reporter, run, "build", image, dry_run)
    if dry_run:
        return Built(**made)
    firmware = load_firmware(run.path("build", image))
    reporter.firmware(firmware)
    return Built(**made, firmware=firmware)


@command("flash", recipe=True, tflite=True, board="nucleo-l4r5zi")
@dry
@click.option(
    "--with",
    "way",
    type=click.Choice(["openocd", "pyocd", "mass-storage"]),
    help="how  [default: the first of these that is there]",
)
@click.option("--probe", help="serial number, when several probes are plugged in")
@click.option(
    "--drive",
    type=click.Path(path_type=Path),
    help="folder of the probe's drag-and-drop drive, where it is not found by itself",
)
@click.option("--port", help="serial device of the board's console  [default: the probe's]")
@click.option("--no-hello", is_flag=True, help="do not wait for the firmware to say which build it is")
def flash(
    reporter: Reporter,
    runs: Path,
    board_name: str,
    runtime: "Runtime",
    dry_run: bool,
    way: str | None,
    probe: str | None,
    drive: Path | None,
    port: str | None,
    no_hello: bool,
    **options,
) -> "FlashPlanned | Flashed":
    """Program the board, verify, reset, and wait for the firmware's hello."""
    from tinyflow.board import load_board
    from tinyflow.cli.results import FlashPlanned
    from tinyflow.deploy.flash.flashing import find_probe, make_plan
    from tinyflow.deploy.flash.flashing import flash as flash_stage
    from tinyflow.pipeline import Image, make_firmware

    board = load_board(board_name)
    find_probe(board, probe, drive)  # before what may be hours of training
    run = enter(reporter, runs, **options)
    made = stages(reporter, run, "build", Image(board, runtime), True) if dry_run else {}
    if dry_run and any(step.runs for step in made["steps"]):
        return FlashPlanned(**made, flash=None)  # no image yet
    target, _ = make_firmware(run, board_name, runtime, "serial", port)
    plan = make_plan(target.firmware, target.place, probe, way, drive, not no_hello)
    if dry_run:
        reporter.flash_plan(plan.said())
        return FlashPlanned(**made, flash=plan.said())
    result = flash_stage(plan, reporter.progress)
    reporter.flashed(result)
    return result


@command("export", recipe=True, tflite=True)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="folder to write; an earlier export in it is replaced"
)
@click.option("--fixed", is_flag=True, help="the front end in integers, for cores without FPU")
@click.option("--force", is_flag=True, help="replace the folder, whatever is in it")
def export(reporter: Reporter, runs: Path, out: Path, fixed: bool, force: bool, **options) -> "Exported":
    """A self-contained folder of C for any project: cc *.c, CMake, CubeIDE, Zephyr, PlatformIO."""
    from tinyflow.compile import load_compiled
    from tinyflow.deploy.export import export as export_stage

    run = enter(reporter, runs, **options)
    run.make("compile")
    result = export_stage(load_compiled(run.folder.compile), out, force, fixed)
    reporter.say(
        f"wrote {len(result.files)} files to {result.folder}; try it: cd {shlex.quote(str(result.folder))} && cc"
        " -O2 *.c && ./a.out"
    )
    return result
