"""Device: a running firmware one can ask. The same on an emulator, on this machine and on a board."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np

from tinyflow.board import Board, Counter
from tinyflow.deploy.artefact import Firmware
from tinyflow.deploy.console import PROTOCOL, CommandError, Console, Transport, payload
from tinyflow.deploy.places.place import Place, places_of
from tinyflow.errors import TinyflowError


class Device:
    """Use as a context manager; leaving it ends the emulator or closes the port.

    hello_line: what the firmware said of itself. Of the last infer() or recognise(): ticks, raw counter ticks of each
    model_invoke; frontend_ticks, of each clip's front end; stack_bytes, the deepest the stack got during invoke.
    """

    def __init__(self, place: Place, transport: Transport, timeout: float = 60.0):
        self.place = place
        self.console = Console(transport, timeout)
        self.hello_line: dict[str, Any] = {}
        self.ticks: list[int] = []
        self.frontend_ticks: list[int] = []
        self.stack_bytes = 0

    @property
    def board(self) -> Board:
        return self.place.board

    @property
    def counter(self) -> Counter:
        return self.place.counter

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self.console.transport.close()

    def units(self, ticks: int) -> int:
        """Counter ticks in the counter's unit (instructions, cycles, nanoseconds)."""
        return round(ticks * self.counter.rate)

    @property
    def resolution(self) -> int:
        """One tick in the counter's unit, rounded up."""
        return max(1, ceil(self.counter.rate))

    def hello(self) -> dict[str, Any]:
        """What the firmware says of itself: build, board, protocol, model, counter, counter_bits, counter_hz,
        input, output, arena (bytes), layers, frontend, clips, warning; with a front end also sample_rate, window, hop,
        features.
        """
        answer = self.console.request("hello")
        if answer.get("protocol") != PROTOCOL:
            raise TinyflowError(
                f"the firmware speaks protocol {answer.get('protocol')}, this tinyflow {PROTOCOL}",
                "build the firmware again",
            )
        self.hello_line = {key: value for key, value in answer.items() if key not in ("ok", "id")}
        return self.hello_line

    def selftest(self) -> dict[str, Any]:
        """Every embedded clip: its samples to features to answers, all compared by the firmware itself.

        Returns clips, features_equal, answers_equal, passed (bool), results (one dict a clip), and instructions of
        the front end and of the network per clip (from the second run on), as frontend_units and network_units.
        """
        results: list[dict] = []
        answer = self.console.request("selftest", on_event=results.append)
        for result in results:
            for key in ("event", "id"):
                result.pop(key)
            for key in ("frontend", "network"):
                result[f"{key}_units"] = self.units(result.pop(f"{key}_ticks"))
        last = results[-1] if results else {"frontend_units": 0, "network_units": 0}
        return {
            "clips": answer["clips"],
            "features_equal": answer["features_equal"],
            "answers_equal": answer["answers_equal"],
            "passed": answer["verdict"] == "pass",
            "frontend_units": last["frontend_units"],
            "network_units": last["network_units"],
            "stack_bytes": answer["stack"],
            "unit": self.counter.unit,
            "results": results,
        }

    def infer(self, features: np.ndarray) -> np.ndarray:
        """int8 (N, input bytes or any shape of as many) -> int8 (N, output bytes). Fills ``ticks``, one per row."""
        rows = self._rows(features, np.int8, self._known("input"))
        self._forget()
        answers = [self._infer(row) for row in rows]
        return np.array(answers, dtype=np.int8).reshape(len(rows), self._known("output"))

    def recognise(self, audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """int16 (N, samples), wholly computed on the device -> (features int8 (N, input bytes), answers int8 (N, output
        bytes)).
        """
        if not self._known("frontend"):
            raise TinyflowError(
                "this firmware has no front end: it takes features, not audio", "build a model that tinyflow trained"
            )
        audio = np.asarray(audio)
        if audio.dtype != np.int16 or audio.ndim != 2:
            raise TinyflowError(f"audio is {audio.dtype} {audio.shape}", "int16 (N, samples)")
        need = self._known("clip_samples")
        if audio.shape[1] < need:
            raise TinyflowError(
                f"clips of {audio.shape[1]} samples; the model listens to {need}", "pad the recording with silence"
            )
        self._forget()
        features, answers = [], []
        for clip in audio:
            heard = self.console.put("audio", np.ascontiguousarray(clip, dtype="<i2").tobytes())
            self.frontend_ticks.append(heard["ticks"])
            features.append(np.frombuffer(self.console.get("input", 0, self._known("input")), np.int8))
            answers.append(self._invoke())
        return np.array(features), np.array(answers, dtype=np.int8).reshape(len(audio), self._known("output"))

    def layer(self, index: int, input: np.ndarray, offset: int, size: int) -> np.ndarray:
        """Runs layers 0..index on ``input`` (input bytes) -> int8 (size,), the arena from ``offset``:
        a layer's place as compiled.json gives it."""
        self.console.put("put", self._rows(input, np.int8, self._known("input"))[0].tobytes())
        self.console.request("layer", index=index)
        return np.frombuffer(self.console.get("arena", offset, size), np.int8)

    def profile(self, input: np.ndarray | None = None, audio: np.ndarray | None = None) -> dict[str, Any]:
        """Counts of one inference, from the second run on, interrupts masked, the timer's own share calibrated away.

        input: int8 (input bytes,), default zeros. audio: int16 (samples,), default silence, for the front end.
        Returns unit, ticks and units of invoke, layers (lists of {ticks, units}), timer_overhead_ticks, resolution,
        stack_bytes (invoke, from the top of the stack); with a front end: frontend {ticks, units (one clip), frames,
        steps {name: {ticks, units}} of one frame, stack_bytes}.
        """
        data = self._rows(
            np.zeros(self._known("input"), np.int8) if input is None else input, np.int8, self._known("input")
        )[0]
        frontend = self._profile_frontend(audio) if self._known("frontend") else None
        self._forget()
        for _ in range(2):
            self._infer(data)
        self.console.put("put", data.tobytes())
        events: list[dict] = []
        answer = self.console.request("profile", on_event=events.append)
        return {
            "unit": self.counter.unit,
            "resolution": self.resolution,
            "counter": self.counter.name,
            "timer_overhead_ticks": answer["overhead"],
            "invoke": self._count(self.ticks[-1]),
            "layers": [self._count(event["ticks"]) for event in events],
            "stack_bytes": self.stack_bytes,
            "frontend": frontend,
        }

    def loop(self, iterations: int) -> int:
        """Counted units of a loop of 2 instructions an iteration (subs, bne) on a Cortex-M."""
        return self.units(self.console.request("loop", count=iterations)["ticks"])

    def _count(self, ticks: int) -> dict[str, int]:
        return {"ticks": ticks, "units": self.units(ticks)}

    def _profile_frontend(self, audio: np.ndarray | None) -> dict[str, Any]:
        need = self._known("clip_samples")
        samples = np.zeros(need, "<i2") if audio is None else np.asarray(audio)
        if samples.dtype != np.int16 or samples.shape != (samples.size,) or samples.size < need:
            raise TinyflowError(f"audio is {samples.dtype} {samples.shape}", f"int16 ({need},) or longer")
        for _ in range(2):
            heard = self.console.put("audio", samples.astype("<i2").tobytes())
        events: list[dict] = []
        answer = self.console.request("frontend", on_event=events.append)
        steps = {event["name"]: self._count(event["ticks"]) for event in events}
        return {
            **self._count(heard["ticks"]),
            "frames": heard["frames"],
            "frame": self._count(answer["ticks"]),
            "steps": steps,
            "stack_bytes": answer["stack"],
        }

    def _forget(self) -> None:
        self.ticks, self.frontend_ticks, self.stack_bytes = [], [], 0

    def _known(self, key: str) -> int:
        if not self.hello_line:
            self.hello()
        return self.hello_line[key]

    def _infer(self, row: np.ndarray) -> np.ndarray:
        self.console.put("put", row.tobytes())
        return self._invoke()

    def _invoke(self) -> np.ndarray:
        answer = self.console.request("infer")
        self.ticks.append(answer["ticks"])
        self.stack_bytes = max(self.stack_bytes, answer["stack"])
        data, size = payload(answer), self._known("output")
        if data is None or len(data) != size:  # longer than a line, or damaged: ask for the rest by itself
            data = self.console.get("output", 0, size)
        return np.frombuffer(data, np.int8)

    @staticmethod
    def _rows(value: np.ndarray, dtype: type, width: int) -> np.ndarray:
        value = np.asarray(value)
        if value.dtype != dtype or value.size == 0 or value.size % width:
            raise TinyflowError(
                f"input is {value.dtype} {value.shape}; the firmware takes {np.dtype(dtype)} rows of {width}",
                "check that the firmware is of this model",
            )
        return np.ascontiguousarray(value).reshape(-1, width)


def connect(firmware: Firmware, place: Place, timeout: float = 60.0) -> Device:
    """Starts ``firmware`` (or opens the board's port) and checks that it is this very build that answers.

    timeout: wall seconds per answer. Errors: no emulator, no port, no permission, silence, another build on the board.
    """
    board = place.board
    if place.where != "serial":
        firmware.check()
    device = Device(place, start(firmware, place), timeout)
    try:
        said = _first_hello(device)
        again = f"tinyflow {'flash' if place.where == 'serial' else 'build'} --board {board.name}"
        if said["board"] != board.name:
            raise TinyflowError(
                f"{device.console.transport.name} runs a firmware of {said['board']}, not {board.name}", again
            )
        if said["build"] != firmware.build_id:
            raise TinyflowError(
                f"{device.console.transport.name} runs build {said['build']}, not {firmware.build_id} of"
                f" {firmware.folder}",
                again,
            )
    except BaseException as error:
        device.close()
        if isinstance(error, TinyflowError) and place.where == "serial":  # boards share USB ids: this may be another
            elsewhere = ["--port", *(f"--emulator {name}" for name in places_of(board) if name != "serial")]
            error.hint += f"; if another board is plugged in: {' or '.join(elsewhere)}"
        raise
    return device


def _first_hello(device: Device, attempts: Sequence[int] = (1, 2, 3)) -> dict[str, Any]:
    """A board may hold half a line from before: its first answer may be an error line."""
    for attempt in attempts:
        try:
            return device.hello()
        except CommandError:
            if attempt == attempts[-1]:
                raise
    raise AssertionError


def start(firmware: Firmware, place: Place) -> Transport:
    """The console of ``firmware`` at ``place``: the emulator, started, or the serial port."""
    board = place.board
    if place.where == "qemu":
        from tinyflow.deploy.places.qemu import start_qemu

        return start_qemu(firmware, board)
    if place.where == "renode":
        from tinyflow.deploy.places.renode import start_renode

        return start_renode(firmware, board)
    if place.where == "host":
        from tinyflow.deploy.places.host import start_host

        return start_host(firmware, board)
    from tinyflow.deploy.places.serialport import SerialTransport

    return SerialTransport(board, place.port)
