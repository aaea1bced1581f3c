"""Target: a firmware with its network, on a place. What run, validate, profile, compare, check and listen work on."""

from dataclasses import dataclass

from tinyflow.board import Board
from tinyflow.compile.artefact import CompiledModel
from tinyflow.deploy.artefact import Firmware
from tinyflow.deploy.places.place import Place


@dataclass(frozen=True)
class Target:
    """A firmware with its network, where it is met: what run, validate, profile and check take."""

    firmware: Firmware
    compiled: CompiledModel
    place: Place

    @property
    def board(self) -> Board:
        return self.place.board
