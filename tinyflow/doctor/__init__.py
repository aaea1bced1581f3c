"""What this machine has, what is missing, and the one command that mends it. Quick: nothing heavy is imported."""

import sys
from dataclasses import dataclass

from tinyflow.artefacts import CHECKOUT
from tinyflow.board import board_names, load_board
from tinyflow.doctor.checks import Check, folder, program
from tinyflow.doctor.machine import cuda, probes, serial_ports
from tinyflow.doctor.packages import ExtraHere, extras_here, python, python_packages
from tinyflow.doctor.programs import arm_compiler, host_compiler, qemu, renode, tflm
from tinyflow.results import json_property


@dataclass(frozen=True)
class Diagnosis:
    checks: tuple[Check, ...]
    extras: tuple[ExtraHere, ...]

    @json_property
    def ok(self) -> bool:
        """Whether nothing is missing that is not optional."""
        return all(check.ok or check.optional for check in self.checks)

    @json_property
    def size(self) -> str:
        """What is installed: "base", "base and oracle", "all"."""
        names = [extra.name for extra in self.extras if extra.installed]
        return "all" if len(names) == len(self.extras) else " and ".join(["base", *names])


def diagnose() -> Diagnosis:
    """Everything, in the order of the pipeline."""
    extras = extras_here()
    trains = any(extra.name == "train" and extra.installed for extra in extras)
    boards = [load_board(name) for name in board_names()]
    checks = (
        python(),
        *python_packages(),
        program("espeak-ng", "espeak-ng", "synthetic speech (the default data)", optional=not trains),
        host_compiler(),
        arm_compiler(),
        *(qemu(board) for board in boards if board.qemu),
        program("openocd", "openocd", "flash", optional=True, variable="OPENOCD"),
        program(
            "pyocd",
            "pyocd",
            "flash, where OpenOCD is not",
            optional=True,
            variable="PYOCD",
            mend=f"{sys.executable} -m pip install pyocd==0.46.0",
        ),
        *probes(boards),
        serial_ports(),
        folder("TINYFLOW_DATA", "real recordings (Speech Commands)", "export TINYFLOW_DATA=/path/to/speech_commands"),
        *([program("cmake", "cmake", "tests of exports", optional=True)] if CHECKOUT else []),
        tflm(),
        renode([board for board in boards if board.renode]),
        cuda(),
    )
    return Diagnosis(checks, extras)
