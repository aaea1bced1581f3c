"""Model: a compiled network, and what it does on this machine and on boards. OnBoard: the same as firmware there."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING

from tinyflow.api.boards import boards, found
from tinyflow.artefacts import scratch_folder
from tinyflow.board import Board
from tinyflow.compile.artefact import ArenaPlan, Port, load_compiled
from tinyflow.deploy.artefact import Firmware, Runtime, load_firmware
from tinyflow.errors import TinyflowError
from tinyflow.pipeline import Image, Run, make_firmware

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from tinyflow.cost.report import CompiledNetwork
    from tinyflow.deploy.answers import Validation
    from tinyflow.deploy.counts import Profile
    from tinyflow.deploy.export import Exported
    from tinyflow.deploy.places.place import Where
    from tinyflow.deploy.target import Target
    from tinyflow.reference.hostmodel import HostModel

USUAL_BOARD = "mps2-an386"  # the command line's: emulated, and so there for everybody


class Model:
    """A compiled network. ``compile_tflite`` and ``compile_recipe`` make one.

    Inputs and answers are int8: rows (N, *shape without batch); ``input`` and ``output`` say shape, scale and zero
    point. A board is a name, a folder with a board.yaml, or a Board; where none is named it is the one that the model
    was compiled for, else mps2-an386, emulated by QEMU. Threads may share a model: what needs its folder waits.

    What it makes lies in a run folder. One that nobody named goes with the model, or at the end of a ``with`` block.
    """

    def __init__(self, enter: Callable[[Path], Run], board: Board | None, runs: Path | str | None):
        """enter: the run in a folder of runs, which is ``runs``, or a temporary one."""
        self._alone = RLock()
        self._host: HostModel | None = None
        folder, self._discard = scratch_folder(self) if runs is None else (Path(runs).resolve(), _keep)
        self._closed = False
        self._board = board
        try:
            self._run = enter(folder)
            self._run.make("compile")
            self._compiled = load_compiled(self._run.folder.compile)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        layers, arena = len(self._compiled.layers), self._compiled.arena_bytes
        return f"<tinyflow.Model {self.name!r}: {layers} layers, arena {arena:,} B>"

    def __enter__(self) -> "Model":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Deletes the temporary folder where there is one; the model cannot be used any more."""
        with self._alone:
            self._closed = True
            self._host = None
            self._discard()

    @property
    def name(self) -> str:
        return self._compiled.name

    @property
    def input(self) -> Port:
        return self._compiled.input

    @property
    def output(self) -> Port:
        return self._compiled.output

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the outputs, in their order; empty for a foreign model."""
        return self._compiled.labels

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self._run.folder.root

    @property
    def plan(self) -> ArenaPlan:
        """Where every tensor lies in the arena, and while which layers run."""
        return self._compiled.plan

    @cached_property
    def report(self) -> "CompiledNetwork":
        """What ``tinyflow compile --json`` says: sizes, layers, memory, and whether it fits the board (or which)."""
        from tinyflow.cost.report import CompiledNetwork

        return CompiledNetwork.of(self._compiled, boards() if self._board is None else (self._board,))

    def run(self, x: "ArrayLike", board: Board | str | None = None) -> "NDArray[np.int8]":
        """The answers to ``x``, int8 (N, *input shape without batch) -> int8 (N, *output shape without batch).

        board: where; without, on this machine, by the same C, which the host's compiler translates at the first call.
        Errors: another shape or type; no compiler; those of ``on``.
        """
        rows = self._compiled.rows(x)
        if board is not None:
            return self.on(board).run(rows)
        with self._open():
            if self._host is None:
                from tinyflow.reference.hostmodel import HostModel

                self._host = HostModel(self._compiled)
            return self._host.invoke(rows)

    def on(
        self,
        board: Board | str | None = None,
        *,
        runtime: Runtime = "aot",
        emulator: "Where | None" = None,
        port: str | None = None,
    ) -> "OnBoard":
        """The model as firmware on ``board``, built unless it is there already.

        runtime: the compiler's C (aot), or TensorFlow Lite Micro's interpreter (tflm). emulator, port: where the board
        is met; without, the board itself where it is plugged in, else its emulator.
        Errors: no such board or emulator; no compiler; an image that does not fit.
        """
        with self._open():
            target, _ = make_firmware(self._run, self._chosen(board), runtime, emulator, port)
        return OnBoard(self, target)

    def validate(
        self, x: "ArrayLike | None" = None, board: Board | str | None = None, *, rows: int = 8, seed: int = 0
    ) -> "Validation":
        """Whether the answers on ``board`` are the reference's, bit for bit: OnBoard.validate."""
        return self.on(board).validate(x, rows=rows, seed=seed)

    def profile(
        self, board: Board | str | None = None, folder: Path | str | None = None, *, estimate: Board | str | None = None
    ) -> "Profile":
        """Where instructions, flash, arena and stack go on ``board``: OnBoard.profile."""
        return self.on(board).profile(folder, estimate=estimate)

    def export(self, folder: Path | str, *, fixed: bool = False, force: bool = False) -> "Exported":
        """Writes the C into ``folder`` for any project, whole or not at all.

        fixed: the front end in integers, for cores without an FPU. An earlier export there is replaced; any other
        folder that is not empty only with ``force``.
        """
        from tinyflow.deploy.export import export

        with self._open():
            return export(self._compiled, folder, force, fixed)

    def build(self, folder: Path | str, board: Board | str | None = None, *, runtime: Runtime = "aot") -> Firmware:
        """Firmware for ``board`` in ``folder``, whole or not at all: firmware.elf, its map, its C.

        An earlier build there is replaced; any other folder that is not empty is refused.
        """
        image = Image(self._chosen(board), runtime)
        with self._open():
            self._run.make("build", image)
            return load_firmware(self._run.path("build", image)).copy(folder)

    def _chosen(self, board: Board | str | None) -> Board:
        return found(self._board or USUAL_BOARD) if board is None else found(board)

    def _open(self) -> RLock:
        """The lock, to be taken. TinyflowError: the model was closed."""
        if self._closed:
            raise TinyflowError(
                f"the model {self.name!r} was closed: its folder is gone",
                "use it inside its with block, or compile with runs=FOLDER, which stays",
            )
        return self._alone


def _keep() -> None:
    """What a folder that was named has in place of being deleted."""


class OnBoard:
    """A Model as firmware on a board: emulated, on this machine or plugged in. ``Model.on`` makes one."""

    def __init__(self, model: Model, target: "Target"):
        self._model = model  # whose folder the firmware lies in
        self._target = target

    def __repr__(self) -> str:
        return f"<tinyflow.OnBoard {self._model.name!r} on {self.board.name} ({self._target.place.where})>"

    @property
    def board(self) -> Board:
        return self._target.board

    @property
    def firmware(self) -> Firmware:
        """What was built, with its sizes."""
        return self._target.firmware

    def run(self, x: "ArrayLike") -> "NDArray[np.int8]":
        """The board's answers to ``x``, int8 (N, *input shape without batch) -> int8 (N, *output shape without batch).

        Errors: another shape or type; no emulator, no board; another build on it.
        """
        from tinyflow.deploy.run import run_rows

        with self._model._open():
            rows = self._target.compiled.rows(x)
        return run_rows(self._target, rows, self._model._run.progress)[0]

    def validate(self, x: "ArrayLike | None" = None, *, rows: int = 8, seed: int = 0) -> "Validation":
        """Whether the answers to ``x`` (without: so many random ``rows``) are the reference's, bit for bit.

        Of a recipe's model also the front end's parity, unless ``x`` is given. ``passed`` says it, and ``reason`` where
        the first difference is: a difference is a result, not an error.
        """
        from tinyflow.deploy.validate import validate

        with self._model._open():
            given = None if x is None else self._target.compiled.rows(x)
            speaks = self._target.compiled.frontend is not None and given is None
            audio = self._model._run.parity_audio() if speaks else None
        return validate(self._target, given, rows, seed, audio, self._model._run.progress)

    def profile(self, folder: Path | str | None = None, *, estimate: Board | str | None = None) -> "Profile":
        """Where instructions, flash, arena and stack go, by layer.

        folder: that gets profile.json and pictures. estimate: a real board of the same core, to estimate the time on.
        """
        from tinyflow.deploy.profile import profile

        with self._model._open():
            out = None if folder is None else Path(folder)
        other = None if estimate is None else found(estimate)
        return profile(self._target, out, self._model._run.progress, other)
