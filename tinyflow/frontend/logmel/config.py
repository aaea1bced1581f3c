"""LogMelConfig: log mel energies as features, torchaudio's MelSpectrogram and a logarithm."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyflow.frontend.mel.front_end import MelFrontEnd


@dataclass(frozen=True)
class LogMelConfig(MelFrontEnd):
    """log(energy + 1e-6) of ``torchaudio.transforms.MelSpectrogram(sample_rate, n_fft, win_length=window,
    hop_length=hop, n_mels, center=False, mel_scale="htk", norm=None)``, transposed.
    """

    kind = "logmel"
    title = "log-mel"
    steps = ("window", "fft", "mel", "log", "quantize")
    form = "logmel/window/hop/n_mels"

    @property
    def features(self) -> int:
        return self.n_mels

    def matrix(self) -> None:
        return None

    def generate(self, multiplier: Sequence[float], offset: Sequence[float], out: Path) -> None:
        from tinyflow.frontend.logmel.c import generate

        generate(self, f"{self.title} {self.name}", len(self.steps), multiplier, offset, out)

    def table_bytes(self) -> int:
        from tinyflow.frontend.logmel.c import table_bytes

        return table_bytes(self)

    def buffer_bytes(self) -> int:
        from tinyflow.frontend.mel.c import buffer_bytes

        return buffer_bytes(self)

    def work(self) -> dict[str, float]:
        from tinyflow.frontend.mel.c import work

        return {**work(self), "quantize.frame": 1, "quantize.coefficient": self.n_mels}
