"""What lets long work be interrupted and resumed: Ctrl-C, random states, the checkpoint file."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tinyflow.artefacts import atomic_path
from tinyflow.errors import Interrupted, TinyflowError
from tinyflow.progress import Progress

CHECKPOINT = "checkpoint.pt"


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Ctrl-C sets the event, so that the step in hand is finished; a second one interrupts at once."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.getsignal(signal.SIGINT)

    def handle(number: int, frame: object) -> None:
        event.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, handle)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


def interrupted_in(what: str, out: Path, epoch: int, epochs: int) -> Interrupted:
    """``what`` is "training" or "the search"; ``epoch`` counts from 0."""
    return Interrupted(
        f"{what} was interrupted in epoch {epoch + 1} of {epochs}; saved in {out / CHECKPOINT}",
        "the same command resumes it",
    )


def random_state() -> dict[str, Any]:
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}


def set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"].cpu())
    if state["cuda"] and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all([item.cpu() for item in state["cuda"]])


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """``state`` holds "fingerprint" and "epoch" (from 0) beside what the caller needs."""
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def read_checkpoint(path: Path, key: str, device: torch.device, task: str, progress: Progress) -> dict[str, Any] | None:
    """The state in ``path`` when its fingerprint is ``key``; None when there is none, or one of something else."""
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises a dozen types for a damaged file
        raise TinyflowError(f"{path} cannot be read: {error}", "delete it to start anew") from None
    if state.get("fingerprint") != key:
        progress(task, 0, 0, "the checkpoint is of another genotype, recipe or data: starting anew")
        return None
    progress(task, 0, 0, f"resuming in epoch {state['epoch'] + 1}")
    return state
