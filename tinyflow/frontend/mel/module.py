"""Log mel energies in torch, batched, on CPU or GPU: the definition that the generated C is measured against."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch

from tinyflow.errors import TinyflowError
from tinyflow.frontend.mel.config import MelConfig
from tinyflow.frontend.mel.tables import LOG_OFFSET, hann_window, mel_bank


class MelFeatures(torch.nn.Module):
    """Waveforms float32 (N, samples), int16/32768, to float32 (N, frames, features): log mel energies, times
    ``matrix``.

    The energies are ``torchaudio.transforms.MelSpectrogram``'s (frontend/mfcc/config.py has its arguments). Where
    n_fft > window, torchaudio centres the window in n_fft samples and drops the frames that lack the rest; here
    frame t covers samples [t*hop, t*hop + window) followed by zeros. The power spectrum does not see the shift.
    """

    window: torch.Tensor
    mel_bank: torch.Tensor
    matrix: torch.Tensor | None

    def __init__(self, config: MelConfig, matrix: npt.NDArray[np.float32] | None, said: str):
        super().__init__()
        self.config, self.said = config, said
        tables = {"window": hann_window(config), "mel_bank": mel_bank(config), "matrix": matrix}
        for name, table in tables.items():
            self.register_buffer(name, None if table is None else torch.from_numpy(table), persistent=False)

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        config = self.config
        if waveform.dim() != 2 or waveform.dtype != torch.float32 or waveform.shape[1] < config.window:
            raise TinyflowError(
                f"{self.said} got {waveform.dtype} of shape {tuple(waveform.shape)}",
                f"waveforms are float32 (N, samples) with at least {config.window} samples",
            )
        with full_float32(waveform.device):
            frames = waveform.unfold(1, config.window, config.hop) * self.window  # (N, frames, window)
            spectrum = torch.view_as_real(torch.fft.rfft(frames, n=config.n_fft))
            power = spectrum.square().sum(-1)  # (N, frames, n_fft//2 + 1)
            energies = torch.log(power @ self.mel_bank + LOG_OFFSET)
            return energies if self.matrix is None else energies @ self.matrix


@contextmanager
def full_float32(device: torch.device) -> Iterator[None]:
    """Training may turn on TF32 or autocast: three digits, where the mel bank spans eleven."""
    allowed = torch.backends.cuda.matmul.allow_tf32
    with torch.autocast(device.type, enabled=False):
        torch.backends.cuda.matmul.allow_tf32 = False
        try:
            yield
        finally:
            torch.backends.cuda.matmul.allow_tf32 = allowed
