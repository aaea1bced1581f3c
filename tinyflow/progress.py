"""How long work reports itself. Library code never prints: it calls the Progress it was given."""

from typing import Protocol


class Progress(Protocol):
    """Whom library code tells how far it is: any function of these arguments."""

    def __call__(self, task: str, done: int, total: int, note: str = "") -> None:
        """``task`` has finished ``done`` of ``total`` units (total 0: a message, not a bar); ``note`` is the latest
        figure.
        """


def silent(task: str, done: int, total: int, note: str = "") -> None:
    """The default: report nothing."""
