"""MfccConfig, the one definition that torch and the generated C share, and the search space of Table 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinyflow.errors import TinyflowError
from tinyflow.frontend.mel.front_end import MelFrontEnd


@dataclass(frozen=True)
class MfccConfig(MelFrontEnd):
    """MFCC as torchaudio computes it (``center=False``). n_mfcc = n_mels where it is left out (0).

    Equal to ``torchaudio.transforms.MFCC(sample_rate, n_mfcc, log_mels=True, norm="ortho", melkwargs=dict(n_fft,
    win_length=window, hop_length=hop, n_mels, center=False, mel_scale="htk", norm=None))``, transposed.
    """

    kind = "mfcc"
    title = "MFCC"
    steps = ("window", "fft", "mel", "log", "dct", "quantize")
    form = "window/hop/n_mels"

    n_mfcc: int = 0

    def __post_init__(self) -> None:
        if not self.n_mfcc:
            object.__setattr__(self, "n_mfcc", self.n_mels)
        super().__post_init__()
        if self.n_mfcc > self.n_mels:
            raise TinyflowError(
                f"n_mfcc {self.n_mfcc} exceeds n_mels {self.n_mels}", "at most n_mels coefficients exist"
            )

    @property
    def features(self) -> int:
        return self.n_mfcc

    def matrix(self) -> npt.NDArray[np.float32]:
        from tinyflow.frontend.mfcc.dct import dct_matrix

        return dct_matrix(self.n_mels, self.n_mfcc)

    def _options(self) -> dict[str, tuple[int, int]]:
        return {"mfcc": (self.n_mfcc, self.n_mels), **super()._options()}

    @classmethod
    def _words(cls) -> dict[str, str]:
        return {"mfcc": "n_mfcc"}

    @classmethod
    def _prefix(cls) -> str:
        return ""  # the paper's own names

    @property
    def says(self) -> str:
        return f"{super().says}, {self.n_mfcc} coefficients"

    def generate(self, multiplier: Sequence[float], offset: Sequence[float], out: Path) -> None:
        from tinyflow.frontend.mfcc.c import generate

        generate(self, self.n_mfcc, f"{self.title} {self.name}", len(self.steps), multiplier, offset, out)

    def table_bytes(self) -> int:
        from tinyflow.frontend.mfcc.c import table_bytes

        return table_bytes(self, self.n_mfcc)

    def buffer_bytes(self) -> int:
        from tinyflow.frontend.mfcc.c import buffer_bytes

        return buffer_bytes(self, self.n_mfcc)

    def work(self) -> dict[str, float]:
        from tinyflow.frontend.mfcc.c import work

        return work(self, self.n_mfcc)


# Paper, Table 1: windows of 25 ms and 40 ms, two hops each, two mel banks.
TABLE_1: tuple[MfccConfig, ...] = tuple(
    MfccConfig(window=window, hop=hop, n_mels=n_mels)
    for window, hops in ((400, (100, 200)), (640, (160, 320)))
    for hop in hops
    for n_mels in (40, 80)
)
