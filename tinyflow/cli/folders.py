"""Commands about the run folders: runs, clean."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinyflow.cli.command import command
from tinyflow.show import Reporter

if TYPE_CHECKING:
    from tinyflow.runs import Cleaned, RunsOnDisk


@command("runs")
@click.option("--runs", default="runs", type=click.Path(path_type=Path), show_default=True)
def runs_command(reporter: Reporter, runs: Path) -> "RunsOnDisk":
    """The run folders, their stages and figures."""
    from tinyflow.runs import RunsOnDisk, list_runs

    found = list_runs(runs)
    reporter.runs(found, runs)
    return RunsOnDisk(tuple(found))


@command("clean")
@click.argument("names", nargs=-1)
@click.option("--runs", default="runs", type=click.Path(path_type=Path), show_default=True)
@click.option("--stage", help="only this stage's folder")
@click.option("--yes", is_flag=True, help="delete; without it only what would go is listed")
def clean(reporter: Reporter, names: tuple[str, ...], runs: Path, stage: str | None, yes: bool) -> "Cleaned":
    """Delete run folders (all, or the named ones), or one stage of them."""
    from tinyflow.runs import clean as clean_runs

    result = clean_runs(runs, names, stage, yes)
    reporter.cleaned(result)
    return result
