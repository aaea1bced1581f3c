"""A firmware where it is met, as run, validate, profile and the others want it."""

from tinyflow.board import Board
from tinyflow.compile.artefact import CompiledModel, load_compiled
from tinyflow.deploy.artefact import Firmware
from tinyflow.deploy.places.place import Place, choose_place
from tinyflow.deploy.target import Target


def met(where: Board | Place) -> Place:
    """A board alone is met where it usually is."""
    return where if isinstance(where, Place) else choose_place(where)


def on(firmware: Firmware, where: Board | Place, compiled: CompiledModel | None = None) -> Target:
    return Target(firmware, compiled or load_compiled(firmware.compiled), met(where))
