"""The screen: tables on stdout, progress on stderr. With --json stdout is the document and nothing else."""

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from tinyflow.results import to_json

if TYPE_CHECKING:
    from rich.progress import Progress  # slow to import, and wanted by few commands


def size(count: float) -> str:
    """Bytes as people read them."""
    return (
        f"{count:,.0f} B"
        if count < 10_000
        else f"{count / 1024:,.1f} KiB"
        if count < 1024**2
        else f"{count / 1024**2:,.1f} MiB"
    )


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def millions(count: float) -> str:
    """A large count as people read it: 8,700, 6.2 M, 120 M."""
    return (
        f"{count:,.0f}"
        if count < 1e5
        else f"{count / 1e6:,.0f} M"
        if count >= 99.5e6 or count % 1e6 == 0
        else f"{count / 1e6:,.1f} M"
    )


def duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


class Screen:
    """Shows progress, text and tables; one for each command."""

    def __init__(self, as_json: bool = False, quiet: bool = False):
        self.as_json, self.quiet = as_json, quiet
        self._bars: Progress | None = None
        self._tasks: dict[str, Any] = {}
        self._last = 0.0

    # --- life of a command ---------------------------------------------------------------------------------

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *error) -> None:
        if self._bars:
            self._bars.stop()
            self._bars = None

    def finish(self, result: Any) -> None:
        if self.as_json:
            json.dump(to_json(result), sys.stdout, indent=2)
            sys.stdout.write("\n")

    # --- progress ------------------------------------------------------------------------------------------

    def progress(self, task: str, done: int, total: int, note: str = "") -> None:
        """The Progress that stages call."""
        if self.quiet:
            return
        if not total:
            self._message(f"{task}: {note}" if note else task)
        elif sys.stderr.isatty():
            self._bar(task, done, total, note)
        elif done >= total or time.monotonic() - self._last > 30:  # a log wants lines now and then, not bars
            self._last = time.monotonic()
            self._message(f"{task}: {done}/{total} {note}".rstrip())

    def _message(self, text: str) -> None:
        if self._bars:
            self._bars.console.print(text, highlight=False, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def _bar(self, task: str, done: int, total: int, note: str) -> None:
        from rich.console import Console as Terminal
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        if self._bars is None:
            columns = (
                "[progress.description]{task.description}",
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                "left",
                TimeRemainingColumn(),
            )
            self._bars = Progress(*columns, TextColumn("{task.fields[note]}"), console=Terminal(stderr=True))
            self._bars.start()
        if task not in self._tasks:
            self._tasks[task] = self._bars.add_task(task, total=total, note=note)
        self._bars.update(self._tasks[task], completed=done, total=total, note=note)

    # --- results -------------------------------------------------------------------------------------------

    def say(self, text: str, now: bool = False) -> None:
        """now: at once, into a pipe too."""
        if not self.as_json and not self.quiet:
            print(text, flush=now)

    def table(self, title: str, columns: list[str], rows: list[list[Any]], right: tuple[int, ...] = ()) -> None:
        if self.as_json or self.quiet:
            return
        if self._bars:
            self._bars.stop()
            self._bars, self._tasks = None, {}
        from rich import box
        from rich.console import Console as Terminal
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for index, column in enumerate(columns):
            table.add_column(column, justify="right" if index in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(str(cell) for cell in row))
        terminal = Terminal(highlight=False, markup=False)
        if not sys.stdout.isatty():
            terminal = Terminal(highlight=False, markup=False, width=140)
        terminal.print(title)  # not the table's own: that would wrap at a narrow table's width
        terminal.print(table)
