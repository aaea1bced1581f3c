"""MfccConfig, the one definition that torch and the generated C share, and the search space of Table 1."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from tinyflow.errors import TinyflowError


def smooth(n: int) -> bool:
    """Whether n factors into 2, 3 and 5 wholly: what the mixed-radix FFT of the C front end takes."""
    for factor in (2, 3, 5):
        while n % factor == 0:
            n //= factor
    return n == 1


@dataclass(frozen=True)
class MfccConfig:
    """A front end: MFCC of ``sample_rate`` Hz audio.

    window, hop and n_fft are in samples. ``center=False``: frame t covers samples [t*hop, t*hop + window).
    Defaults pair as torchaudio's do: n_fft = window, n_mfcc = n_mels (0 stands for those defaults).
    """

    sample_rate: int = 16000
    window: int = 640
    hop: int = 320
    n_mels: int = 40
    n_mfcc: int = 0
    n_fft: int = 0

    def __post_init__(self) -> None:
        if not self.n_mfcc:
            object.__setattr__(self, "n_mfcc", self.n_mels)
        if not self.n_fft:
            object.__setattr__(self, "n_fft", self.window)
        for name, value in asdict(self).items():
            if not isinstance(value, int) or value <= 0:
                raise TinyflowError(f"MfccConfig.{name} is {value!r}", f"{name} is a positive whole number")
        if self.n_fft < self.window:
            raise TinyflowError(
                f"n_fft {self.n_fft} is smaller than window {self.window}", "raise n_fft or leave it out"
            )
        if self.n_mfcc > self.n_mels:
            raise TinyflowError(
                f"n_mfcc {self.n_mfcc} exceeds n_mels {self.n_mels}", "at most n_mels coefficients exist"
            )
        if self.hop > self.window:
            raise TinyflowError(f"hop {self.hop} exceeds window {self.window}: samples would be lost", "hop <= window")
        if self.n_fft % 2 or not smooth(self.n_fft):
            raise TinyflowError(
                f"n_fft {self.n_fft} is not an even product of 2, 3 and 5", "for example 400, 512, 640 or 1024"
            )

    def frames(self, samples: int | None = None) -> int:
        """Frames in ``samples`` samples of audio (default: one second)."""
        samples = self.sample_rate if samples is None else samples
        return 0 if samples < self.window else 1 + (samples - self.window) // self.hop

    @property
    def shape(self) -> tuple[int, int]:
        """(frames, n_mfcc) for one second of audio."""
        return self.frames(), self.n_mfcc

    @property
    def name(self) -> str:
        """window/hop/n_mels, as the paper writes a configuration; the rest only where it departs from the defaults."""
        text = f"{self.window}/{self.hop}/{self.n_mels}"
        text += f"/mfcc{self.n_mfcc}" if self.n_mfcc != self.n_mels else ""
        return text + (f"/fft{self.n_fft}" if self.n_fft != self.window else "")

    @staticmethod
    def from_name(name: str) -> "MfccConfig":
        """The inverse of ``name``: "640/320/40", "640/320/40/mfcc10/fft1024"."""
        match = re.fullmatch(r"(\d+)/(\d+)/(\d+)(?:/mfcc(\d+))?(?:/fft(\d+))?", str(name))
        if not match:
            raise TinyflowError(f"front end {name!r}", "window/hop/n_mels in samples and bands, such as 640/320/40")
        window, hop, n_mels, n_mfcc, n_fft = (int(part or 0) for part in match.groups())
        return MfccConfig(window=window, hop=hop, n_mels=n_mels, n_mfcc=n_mfcc, n_fft=n_fft)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(value: dict[str, Any]) -> "MfccConfig":
        try:
            return MfccConfig(**value)
        except TypeError as error:
            raise TinyflowError(
                f"mfcc: {error}", "known fields: sample_rate, window, hop, n_mels, n_mfcc, n_fft"
            ) from None


# Paper, Table 1: windows of 25 ms and 40 ms, two hops each, two mel banks.
TABLE_1: tuple[MfccConfig, ...] = tuple(
    MfccConfig(window=window, hop=hop, n_mels=n_mels)
    for window, hops in ((400, (100, 200)), (640, (160, 320)))
    for hop in hops
    for n_mels in (40, 80)
)
