"""What commands return where it is more than one stage's own result; and the result type of every command."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyflow.board import Board, Counter
from tinyflow.board.emulator import Qemu, Renode
from tinyflow.board.facts import Estimate, Memory, SerialConsole
from tinyflow.board.probe import DebugProbe
from tinyflow.cost.report import CompiledNetwork
from tinyflow.data.dataset import Summary
from tinyflow.deploy.artefact import Firmware
from tinyflow.deploy.baseline import Comparison
from tinyflow.deploy.counts import Profile
from tinyflow.deploy.flash.flashing import PlanSaid
from tinyflow.deploy.places.readiness import Readiness
from tinyflow.pipeline import Step
from tinyflow.results import sometimes
from tinyflow.search.artefact import SearchResult


@dataclass(frozen=True)
class Initialised:
    """What was written."""

    ci: Path | None = sometimes()  # the workflow
    recipe: Path | None = sometimes()
    genotype: Path | None = sometimes()


@dataclass(frozen=True)
class ConsoleHere(SerialConsole):
    device: str = ""  # always "": --port names it


@dataclass(frozen=True)
class BoardHere:
    """What board.yaml says, with the facts of its core, and where the board runs."""

    name: str
    title: str
    core: str  # cortex-m4f, cortex-m3, host
    cpu_flags: tuple[str, ...]
    compiler: str  # arm-none-eabi-gcc, host
    fpu: bool
    dsp: bool
    tflm: str  # TFLM's own name of the core; "": no tflm runtime
    port: str  # firmware/port/<port>, or a folder beside board.yaml
    counter: Counter
    console: ConsoleHere
    clock_hz: int
    defines: dict[str, str]
    memory: tuple[Memory, ...]
    stack_bytes: int  # reserved
    instruction_budget: int  # instructions per second of audio the search may spend; 0: not set
    qemu: Qemu | None
    renode: Renode | None
    probe: DebugProbe | None
    estimate: Estimate | None
    microphone: str  # firmware/microphone/<name>.c; "": audio comes over the console alone
    folder: Path
    origin: str  # "tinyflow", a plug-in's name and version, or the user's folder
    emulator: str  # always "": where a firmware runs is a choice of each command
    places: tuple[Readiness, ...]

    @classmethod
    def of(cls, board: Board, places: tuple[Readiness, ...], origin: str) -> "BoardHere":
        core = board.core
        same = ["name", "title", "port", "counter", "clock_hz", "defines", "memory", "stack_bytes"]
        same += ["instruction_budget", "qemu", "renode", "probe", "estimate", "microphone"]
        return cls(
            core=core.name,
            cpu_flags=core.flags,
            compiler=core.compiler,
            fpu=core.fpu,
            dsp=core.dsp,
            tflm=core.tflm,
            console=ConsoleHere(**vars(board.console)),
            folder=Path(board.folder),
            origin=origin,
            emulator="",
            places=places,
            **{key: getattr(board, key) for key in same},
        )


@dataclass(frozen=True)
class BoardsHere:
    boards: tuple[BoardHere, ...]


@dataclass(frozen=True)
class Made:
    """The stages that were made, or would be."""

    run: Path  # its folder
    dry_run: bool
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Prepared(Made):
    dataset: Summary | None = sometimes()  # not of a dry run


@dataclass(frozen=True)
class Found:
    """A network that a search found."""

    folder: Path
    genotype: dict[str, Any]  # as genotype.json has it
    data_choice: str  # "chosen...", "not met: ..." or "not data aware"
    warnings: tuple[str, ...]
    fit: dict[str, Any] | None  # what it would cost on the board

    @classmethod
    def of(cls, result: SearchResult) -> "Found":
        genotype, fit = result.genotype.to_dict(), result.history.get("fit")
        return cls(result.folder, genotype, result.data_choice, result.warnings, fit)


@dataclass(frozen=True)
class Searched(Made):
    search: Found | None = sometimes()  # not of a dry run


@dataclass(frozen=True)
class Followed:
    """What a process of torchrun's says that only follows the first."""

    run: Path
    rank: int


@dataclass(frozen=True)
class Compiled(Made):
    compiled: CompiledNetwork | None = sometimes()  # not of a dry run


@dataclass(frozen=True)
class Built(Made):
    firmware: Firmware | None = sometimes()  # not of a dry run


@dataclass(frozen=True)
class Profiled(Profile):
    """A profile, against a baseline where one was named."""

    comparison: Comparison | None = None


@dataclass(frozen=True)
class FlashPlanned(Made):
    """Of a dry run."""

    flash: PlanSaid | None  # None: there is no image yet
