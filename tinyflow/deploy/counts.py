"""What was counted of a firmware: the results of profile, estimate and compare, as people and --json see them."""

from dataclasses import asdict, dataclass, field
from typing import Any

from tinyflow.deploy.image.sizes import Sizes
from tinyflow.results import json_property, sometimes_property


@dataclass(frozen=True)
class EstimatedTime:
    """Milliseconds (least, most) on ``board``; ``model`` says how they were got."""

    board: str
    clock_hz: int
    inference_milliseconds: tuple[float, float]
    frontend_milliseconds_per_second: tuple[float, float] | None  # of audio
    model: str
    source: str


@dataclass(frozen=True)
class LayerCount:
    """One layer, counted: ``units`` of Profile.unit."""

    index: int
    kind: str
    name: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    macs: int
    units: int
    units_per_mac: float | None  # None without MACs
    share: float  # of the layers' sum
    kernels: tuple[str, ...]  # C functions it calls
    in_place: bool  # the output begins where an input did
    scratch: int  # bytes of the arena that it has for itself


@dataclass(frozen=True)
class StepCount:
    """One step of the front end: of one frame, and of a second of audio."""

    name: str
    units: int
    units_per_second: float
    share: float


@dataclass(frozen=True)
class FrontendCount:
    frames: int  # of the profiled clip
    seconds: float  # of audio in it
    units: int  # of the clip
    units_per_second: float  # of audio
    frame_units: int  # of one frame, all steps in one go
    steps: tuple[StepCount, ...]
    stack_bytes: int


@dataclass(frozen=True)
class Profile:
    """``unit`` names every count: instructions (emulators), cycles (hardware) or nanoseconds (host)."""

    board: str
    place: str  # where it ran: qemu, renode, host, serial
    emulator: str  # with its version, "QEMU 10.0.2"; empty where none was in between
    runtime: str  # aot, tflm
    model: str
    model_sha256: str  # of model_int8.tflite
    accuracy: dict[str, Any]  # of the test clips, as compile counted it; empty for a foreign model
    build_id: str
    unit: str
    counter: str
    counter_note: str
    resolution: int  # one tick of the counter, in units
    invoke_units: int  # model_invoke only, from the second run on
    macs: int
    layers: tuple[LayerCount, ...]
    layers_units: int  # their sum
    layers_difference: float  # (sum - invoke) / invoke
    layers_agree: bool  # within 0.5 %
    frontend: FrontendCount | None
    stack_bytes: int  # painted high-water mark during invoke
    stack_reserved_bytes: int
    arena_bytes: int
    arena_bound_bytes: int  # of the compiler's plan; 0 under an interpreter, which plans by itself
    sizes: Sizes
    compiler: str
    flags: str
    milliseconds: float | None  # of invoke: cycles over the clock; None where the counter does not tell time
    estimate: EstimatedTime | None = None  # of a real board, from counted instructions
    notes: tuple[str, ...] = field(default=())

    @json_property
    def units_per_mac(self) -> float | None:
        return self.invoke_units / self.macs if self.macs else None

    @sometimes_property
    def instructions_per_inference(self) -> int | None:
        """invoke_units, where they are instructions."""
        return self.invoke_units if self.unit == "instructions" else None

    @json_property
    def flash_bytes(self) -> int:
        return self.sizes.flash_bytes

    @json_property
    def ram_bytes(self) -> int:
        return self.sizes.ram_bytes

    @json_property
    def model_bytes(self) -> int:
        return self.sizes.model_bytes


@dataclass(frozen=True)
class Side:
    """What the network takes under one runtime; None where it cannot be had there."""

    runtime: str
    by: str  # what runs it
    units: int | None  # one inference, front end excluded
    flash_bytes: int | None  # without self-test clips
    model_bytes: int  # of it: constants, or the flatbuffer
    ram_bytes: int | None
    arena_bytes: int
    stack_bytes: int | None  # high-water mark of one inference
    operators: int

    def figures(self) -> dict[str, int | None]:
        return {key: value for key, value in asdict(self).items() if key not in ("runtime", "by")}


@dataclass(frozen=True)
class Group:
    """Operators that end at a tensor which both runtimes compute: one against one, unless the compiler joined some."""

    aot: tuple[str, ...]
    tflm: tuple[str, ...]
    name: str  # of that tensor
    macs: int
    aot_units: int | None
    tflm_units: int | None

    @json_property
    def ratio(self) -> float | None:
        return self.tflm_units / self.aot_units if self.aot_units and self.tflm_units is not None else None


@dataclass(frozen=True)
class SideBySide:
    board: str
    place: str
    emulator: str
    model: str
    unit: str  # of every count; "" where nothing was counted
    aot: Side
    tflm: Side
    operators: tuple[Group, ...]
    rows: int  # answered by both
    equal: int  # of them, bit for bit
    profiles: dict[str, Profile]  # by runtime, where it was counted
    notes: tuple[str, ...]

    @json_property
    def ratios(self) -> dict[str, float | None]:
        """tflm over aot, of each figure."""
        ours, theirs = self.aot.figures(), self.tflm.figures()
        pairs = {key: (ours[key], theirs[key]) for key in ours}
        return {key: other / own if own and other is not None else None for key, (own, other) in pairs.items()}
