"""FrontEnd: what every kind of front end is to the rest of tinyflow: one configuration, in torch and in generated C.

A kind is a folder of tinyflow/frontend/ whose __init__.py names its class as FRONT_END, with C in
firmware/frontend/<kind>/ (floats) and firmware/frontend_fixed/<kind>/ (integers, for cores without FPU). Nothing else
names it: registry.py finds it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tinyflow.compile.artefact import FrontEndPart

if TYPE_CHECKING:
    import torch

FACTS = ("kind", "title", "steps", "form")  # of a kind, that its class must say


class FrontEnd(ABC):
    """A front end's configuration: immutable, hashable, compared by value. Sizes are in samples.

    Frame t covers samples [t * hop, t * hop + window), so that the same frames come from clips and from streams.
    """

    kind: ClassVar[str]  # the folder's name; what a genotype says
    title: ClassVar[str]  # for people: "MFCC"
    # of a frame, in order, as firmware/frontend/<kind>/frontend.c names and counts them
    steps: ClassVar[tuple[str, ...]]
    form: ClassVar[str]  # how recipes write a configuration: "window/hop/n_mels"
    sample_rate: int  # Hz
    window: int
    hop: int

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__dict__.get("kind"):  # else a base that kinds share
            for fact in FACTS:
                assert getattr(cls, fact, None), f"the front end {cls.kind!r} does not say its {fact}"

    # ---- shape
    @property
    @abstractmethod
    def features(self) -> int:
        """Of one frame."""

    def frames(self, samples: int | None = None) -> int:
        """Frames in ``samples`` samples of audio (default: one second)."""
        samples = self.sample_rate if samples is None else samples
        return 0 if samples < self.window else 1 + (samples - self.window) // self.hop

    @property
    def shape(self) -> tuple[int, int]:
        """(frames, features) of one second of audio."""
        return self.frames(), self.features

    # ---- names
    @property
    @abstractmethod
    def name(self) -> str:
        """As recipes write it."""

    @classmethod
    @abstractmethod
    def named(cls, name: str) -> Self | None:
        """The inverse of ``name``; None: a name of another kind's form. TinyflowError: no such front end can be."""

    @property
    @abstractmethod
    def says(self) -> str:
        """The configuration in words, for people."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """JSON-able: kind, and what the class takes."""

    @classmethod
    @abstractmethod
    def from_dict(cls, value: dict[str, Any]) -> Self:
        """The inverse of ``to_dict``. TinyflowError: an unknown field, or a value that cannot be."""

    def part(self) -> FrontEndPart:
        """What a compiled model says of it."""
        return FrontEndPart(
            kind=self.kind,
            name=self.name,
            says=self.says,
            sample_rate=self.sample_rate,
            window=self.window,
            hop=self.hop,
            features=self.features,
            steps=self.steps,
            config=self.to_dict(),
        )

    # ---- what computes it
    @abstractmethod
    def module(self) -> "torch.nn.Module":
        """Waveforms float32 (N, samples), int16/32768, to features float32 (N, frames, features): the reference."""

    @abstractmethod
    def generate(self, multiplier: Sequence[float], offset: Sequence[float], out: Path) -> None:
        """Writes the C's constants: frontend_config.h and frontend_tables.c into ``out``, and those of integers into
        its fixed/. multiplier, offset: (features,), the scaler and the int8 quantisation (frontend/quantize.py).
        """

    # ---- what it costs
    @abstractmethod
    def table_bytes(self) -> int:
        """Flash of the generated tables."""

    @abstractmethod
    def buffer_bytes(self) -> int:
        """RAM of the static buffers of a frame."""

    def stream_bytes(self) -> int:
        """RAM that a stream keeps besides: the samples of a window."""
        return 2 * self.window

    @abstractmethod
    def work(self) -> dict[str, float]:
        """Counts of what one frame consists of, "step.what"; what each costs stands in tinyflow/cost/."""
