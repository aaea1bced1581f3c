"""What a firmware answered: the results of run, validate and listen, as people and --json see them.

``unit`` names every count: instructions (emulators), cycles (hardware) or nanoseconds (host). ``instructions_...`` says
the same where instructions were counted, and is None where they were not.
"""

from dataclasses import dataclass
from pathlib import Path

from tinyflow.recipe import Listen
from tinyflow.results import sometimes


@dataclass(frozen=True)
class ClipTested:
    clip: int
    word: str  # stored
    heard: int  # index of the label
    feature: int  # the first that differs from the stored ones; their number where none does
    answer: int  # likewise
    frontend_units: int
    network_units: int


@dataclass(frozen=True)
class SelfTest:
    """Every embedded clip through front end and network, compared on the board with what compile stored."""

    board: str
    build_id: str
    passed: bool
    reason: str  # "" when passed
    clips: int
    features_equal: int  # clips, bit for bit
    answers_equal: int  # clips, bit for bit
    results: tuple[ClipTested, ...]
    unit: str  # of every count
    frontend_units: int  # of a clip, from the second on
    network_units: int  # of a clip, from the second on
    instructions_of_frontend: int | None
    units_of_frontend: int
    instructions_per_inference: int | None
    units_per_inference: int
    stack_bytes: int  # high-water mark


@dataclass(frozen=True)
class RowsAnswered:
    """Rows of int8 on the board. Counts are of model_invoke alone, from the second run on."""

    board: str
    build_id: str
    rows: int
    unit: str  # of every count
    instructions_per_inference: int | None
    units_per_inference: int  # their mean
    least: int
    greatest: int
    resolution: int  # one tick of the counter, in units
    arena_bytes: int
    flash_bytes: int
    model_bytes: int
    ram_bytes: int
    stack_bytes: int  # high-water mark
    compiler: str
    flags: str
    output: Path | None = sometimes()  # where the answers went


@dataclass(frozen=True)
class Heard:
    """The word in one recording; features and network were computed on the board."""

    board: str
    word: str
    score: float  # the network's output for it
    scores: dict[str, float]  # by label
    unit: str  # of every count
    instructions_of_frontend: int | None
    units_of_frontend: int
    instructions_per_inference: int | None
    units_per_inference: int
    stack_bytes: int  # high-water mark
    wav: Path | None = sometimes()


@dataclass(frozen=True)
class Agreement:
    """Answers against the oracle's."""

    passed: bool
    rows: int
    equal: int  # of them, bit for bit
    reason: str  # "" when passed, else the first difference


@dataclass(frozen=True)
class FeatureParity:
    """The same C on the device and on this machine, and against torch."""

    passed: bool
    clips: int
    identical_on_device_and_host: int  # of the clips
    values: int
    differing_from_torch: int  # of the values
    share_differing_from_torch: float
    largest_lsb: int  # difference from torch
    reason: str  # "" when passed, else the first difference


@dataclass(frozen=True)
class Parity:
    """The parity gate (docs/architecture.md)."""

    features: FeatureParity
    network: Agreement  # on Python's features
    end_to_end: Agreement  # on the device's own features

    @property
    def reasons(self) -> tuple[str, str, str]:
        return self.features.reason, self.network.reason, self.end_to_end.reason


@dataclass(frozen=True)
class Validation:
    """The firmware against an oracle, bit for bit."""

    board: str
    build_id: str
    model: str
    oracle: str  # which one, and its version: TFLM's interpreter where it is installed, else our reference kernels
    compiler: str
    rows: int
    equal: int  # of the rows
    source: str  # of the rows: "given", or "random, seed 0"
    passed: bool
    reason: str  # "" when passed, else the first difference: row, layer, element, both values
    parity: Parity | None = sometimes()  # of a model with a front end
    note: str | None = sometimes()  # what would add the other oracle, where this one is ours


@dataclass(frozen=True)
class Word:
    word: str
    score: float  # the averaged posterior
    seconds: float  # to the end of what the network was given
    sample: int


@dataclass(frozen=True)
class PerSecond:
    """Units a second of audio."""

    frontend: float
    network: float
    detector: float  # smoothing and book-keeping
    all: float


@dataclass(frozen=True)
class Budget:
    board: str
    what: str  # clock, instruction_budget
    budget: int
    share: float  # of it, that a second of audio takes


@dataclass(frozen=True)
class Costs:
    """What a second of audio costs in the steady state."""

    unit: str  # of every count
    counter: str  # what it means
    frames: int  # counted
    runs: int  # of the network, counted
    frames_a_second: float
    runs_a_second: float
    per_second: PerSecond
    budgets: tuple[Budget, ...]


@dataclass(frozen=True)
class Listened:
    board: str
    build_id: str
    words: tuple[Word, ...]
    settings: Listen
    samples_lost: int
    costs: Costs
    seconds: float  # of audio
    wav: Path | None = sometimes()  # without: the board's microphone
