"""MelConfig: what decides log mel energies, as data."""

from dataclasses import asdict, dataclass
from typing import ClassVar

from tinyflow.errors import TinyflowError


def smooth(n: int) -> bool:
    """Whether n factors into 2, 3 and 5 wholly: what the mixed-radix FFT of the C front end takes."""
    for factor in (2, 3, 5):
        while n % factor == 0:
            n //= factor
    return n == 1


@dataclass(frozen=True)
class MelConfig:
    """window, hop and n_fft are in samples; n_fft = window where it is left out (0), as torchaudio pairs them."""

    title: ClassVar[str] = "mel energies"

    sample_rate: int = 16000
    window: int = 640
    hop: int = 320
    n_mels: int = 40
    n_fft: int = 0

    def __post_init__(self) -> None:
        if not self.n_fft:
            object.__setattr__(self, "n_fft", self.window)
        for name, value in asdict(self).items():
            if not isinstance(value, int) or value <= 0:
                raise TinyflowError(f"{self.title}: {name} is {value!r}", f"{name} is a positive whole number")
        if self.n_fft < self.window:
            raise TinyflowError(
                f"n_fft {self.n_fft} is smaller than window {self.window}", "raise n_fft or leave it out"
            )
        if self.hop > self.window:
            raise TinyflowError(f"hop {self.hop} exceeds window {self.window}: samples would be lost", "hop <= window")
        if self.n_fft % 2 or not smooth(self.n_fft):
            raise TinyflowError(
                f"n_fft {self.n_fft} is not an even product of 2, 3 and 5", "for example 400, 512, 640 or 1024"
            )
