"""Listen: continuous recognition on a board, of a recording or of its own microphone.

A recording goes over the console piece by piece, each acknowledged; words are told as the board hears them.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from tinyflow.board import Board, board_names, load_board
from tinyflow.compile.artefact import CompiledModel
from tinyflow.data.audio import BadRecording, load_background
from tinyflow.data.store import SAMPLE_RATE
from tinyflow.deploy.answers import Budget, Costs, Listened, PerSecond, Word
from tinyflow.deploy.console import CHUNK_BYTES, CommandError
from tinyflow.deploy.detector import Settings, frontend
from tinyflow.deploy.device import Device, connect
from tinyflow.deploy.places.place import Place
from tinyflow.deploy.run import TIMEOUT
from tinyflow.deploy.target import Target
from tinyflow.errors import TinyflowError
from tinyflow.progress import Progress, silent
from tinyflow.recipe import Listen

OnWord = Callable[[Word], None]


def must_have_microphone(board: Board) -> None:
    if not board.microphone:
        raise TinyflowError(
            f"board {board.name} has no microphone that tinyflow can drive",
            "--wav FILE streams a recording to it; `microphone` of its board.yaml would name a driver (docs/listen.md)",
        )


def read_long(wav: Path) -> np.ndarray:
    """A recording of any rate, length and number of channels: int16 (samples,) at SAMPLE_RATE. Errors: no file, no
    audio.
    """
    if not wav.is_file():
        raise TinyflowError(f"no recording at {wav}", "name a WAV, FLAC, OGG or MP3 file")
    try:
        return load_background(wav, SAMPLE_RATE)
    except BadRecording as reason:
        raise TinyflowError(
            f"{wav} cannot be heard: {reason}", "record it again, or convert it to 16-bit WAV"
        ) from None


def listen_to(
    target: Target,
    audio: np.ndarray,
    listen: Listen,
    progress: Progress = silent,
    on_word: OnWord | None = None,
    timeout: float = TIMEOUT,
) -> Listened:
    """int16 ``audio`` (samples,) streamed to the board, then as much silence as the network takes at once, for a word
    at the end.

    on_word is called with each word as the board tells it. Errors: shorter
    audio than the network takes at once.
    """
    compiled, board = target.compiled, target.board
    rate = frontend(compiled).sample_rate
    if len(audio) < _window(compiled):
        raise TinyflowError(
            f"the recording is {len(audio) / rate:.2f} s long; {compiled.name} takes {_window(compiled) / rate:.2f} s"
            " at once",
            "tinyflow run --wav pads a short one with silence and says which word it is",
        )
    data = np.concatenate([audio, np.zeros(_window(compiled), np.int16)]).astype("<i2").tobytes()
    words: list[Word] = []
    hear, peers = _hearer(words, rate, on_word), _peers(board)
    with connect(target.firmware, target.place, timeout) as device:
        begin(device, Settings.of(listen, compiled))
        answer: dict[str, Any] = {}
        for at in range(0, len(data), CHUNK_BYTES):
            answer = device.console.put("stream", data[at : at + CHUNK_BYTES], at, hear)
            done = at + CHUNK_BYTES
            if done % (2 * rate) < CHUNK_BYTES or done >= len(data):  # once a second
                total = -(-len(data) // (2 * rate))
                progress(
                    f"listen on {board.name}",
                    total if done >= len(data) else done // (2 * rate),
                    total,
                    f"s of audio, {len(words)} words",
                )
        return _result(device, compiled, listen, words, answer, peers, len(audio) / rate)


def listen_microphone(
    target: Target,
    listen: Listen,
    going: Callable[[float], bool],
    on_word: OnWord | None = None,
    timeout: float = TIMEOUT,
) -> Listened:
    """The board's own microphone, as long as ``going`` (called every second with the seconds heard) says so. Returns as
    listen_to.
    """
    compiled, board = target.compiled, target.board
    must_have_microphone(board)
    rate = frontend(compiled).sample_rate
    words: list[Word] = []
    hear, peers = _hearer(words, rate, on_word), _peers(board)
    with connect(target.firmware, target.place, timeout) as device:
        begin(device, Settings.of(listen, compiled))
        answer: dict[str, Any] = {
            "samples": 0,
            "frames": 0,
            "runs": 0,
            "lost": 0,
            "frontend_ticks": 0,
            "network_ticks": 0,
            "detector_ticks": 0,
        }
        while going(answer["samples"] / rate):
            try:
                answer = device.console.request("microphone", seconds=1, on_event=hear)
            except CommandError as error:
                if error.code != "microphone":
                    raise
                raise TinyflowError(
                    f"the microphone of {board.name} ({board.microphone}):"
                    f" {error.message.partition('microphone: ')[2]}",
                    "docs/listen.md: microphones",
                ) from None
        return _result(device, compiled, listen, words, answer, peers, answer["samples"] / rate)


@contextmanager
def until_interrupted(seconds: float | None) -> Iterator[Callable[[float], bool]]:
    """A ``going`` for listen_microphone: until Ctrl-C, or ``seconds`` heard. A handler, not an exception: the board is
    asked for a second at a time, and its answer is waited for, so that it is ready for the next command. A second
    Ctrl-C does not wait.
    """
    stopped = Event()

    def stop(*_: object) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield lambda heard: not stopped.is_set() and (seconds is None or heard < seconds)
    finally:
        signal.signal(signal.SIGINT, before)


def begin(device: Device, settings: Settings) -> dict[str, Any]:
    """The recogniser begins anew. Returns what the firmware says it will do."""
    return device.console.request("listen", **vars(settings))


def _window(compiled: CompiledModel) -> int:
    """Samples that the network takes at once."""
    config = frontend(compiled)
    return (compiled.input.elements // config.features - 1) * config.hop + config.window


def _hearer(words: list[Word], rate: int, on_word: OnWord | None) -> Callable[[dict], None]:
    def hear(event: dict) -> None:
        words.append(Word(event["word"], event["score"] / 256, event["sample"] / rate, event["sample"]))
        if on_word:
            on_word(words[-1])

    return hear


def _result(
    device: Device,
    compiled: CompiledModel,
    listen: Listen,
    words: list[Word],
    answer: dict[str, Any],
    peers: list[Board],
    seconds: float,
) -> Listened:
    return Listened(
        board=device.board.name,
        build_id=device.hello_line["build"],
        words=tuple(words),
        settings=listen,
        samples_lost=answer["lost"],
        costs=costs(device.place, compiled, listen, answer, peers),
        seconds=seconds,
    )


def costs(place: Place, compiled: CompiledModel, listen: Listen, answer: dict[str, Any], peers: list[Board]) -> Costs:
    """What a second of audio costs in the steady state, from the counts of a stream: every frame and every run of the
    network by its mean, times how many there are in a second.

    Budgets: for every one of ``peers``; for a board that counts its own cycles its clock.
    """
    config, counter = frontend(compiled), place.counter
    frames_a_second = config.sample_rate / config.hop
    rates = {
        "frontend": ("frames", frames_a_second),
        "network": ("runs", frames_a_second / listen.every),
        "detector": ("runs", frames_a_second / listen.every),
    }
    parts = {}
    for part, (of, rate) in rates.items():
        units = answer[f"{part}_ticks"] * counter.rate
        parts[part] = float(units / answer[of] * rate) if answer[of] else 0.0
    per_second = PerSecond(**parts, all=sum(parts.values()))
    return Costs(
        unit=counter.unit,
        counter=counter.note,
        frames=answer["frames"],
        runs=answer["runs"],
        frames_a_second=frames_a_second,
        runs_a_second=frames_a_second / listen.every,
        per_second=per_second,
        budgets=_budgets(place, per_second.all, peers),
    )


def _peers(board: Board) -> list[Board]:
    """This board, and every other of its core, that has a budget of instructions: what is counted here is executed
    there too.
    """
    others = [load_board(name) for name in board_names() if name != board.name]
    return [other for other in (board, *others) if other.core == board.core and other.instruction_budget]


def _budgets(place: Place, per_second: float, peers: list[Board]) -> tuple[Budget, ...]:
    board, unit = place.board, place.counter.unit
    if unit == "cycles":
        return (Budget(board.name, "clock", board.clock_hz, per_second / board.clock_hz),)
    if unit != "instructions":
        return ()
    return tuple(
        Budget(peer.name, "instruction_budget", peer.instruction_budget, per_second / peer.instruction_budget)
        for peer in peers
    )
