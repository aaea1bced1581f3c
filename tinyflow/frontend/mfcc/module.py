"""MFCC in torch, batched, on CPU or GPU: the definition that the generated C is measured against."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import MfccConfig
from tinyflow.frontend.mfcc.tables import LOG_OFFSET, dct_matrix, hann_window, mel_bank


class Mfcc(torch.nn.Module):
    """Waveforms float32 (N, samples), int16/32768, to MFCC float32 (N, frames, n_mfcc).

    Equal to ``torchaudio.transforms.MFCC(sample_rate, n_mfcc, log_mels=True, norm="ortho", melkwargs=dict(n_fft,
    win_length=window, hop_length=hop, n_mels, center=False, mel_scale="htk", norm=None))``, transposed. Where
    n_fft > window, torchaudio centres the window in n_fft samples and drops the frames that lack the rest; here
    frame t covers samples [t*hop, t*hop + window) followed by zeros. The power spectrum does not see the shift.
    """

    def __init__(self, config: MfccConfig):
        super().__init__()
        self.config = config
        for name, table in (("window", hann_window), ("mel_bank", mel_bank), ("dct", dct_matrix)):
            self.register_buffer(name, torch.from_numpy(table(config)), persistent=False)

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        config = self.config
        if waveform.dim() != 2 or waveform.dtype != torch.float32 or waveform.shape[1] < config.window:
            raise TinyflowError(
                f"MFCC {config.name} got {waveform.dtype} of shape {tuple(waveform.shape)}",
                f"waveforms are float32 (N, samples) with at least {config.window} samples",
            )
        with full_float32(waveform.device):
            frames = waveform.unfold(1, config.window, config.hop) * self.window  # (N, frames, window)
            spectrum = torch.view_as_real(torch.fft.rfft(frames, n=config.n_fft))
            power = spectrum.square().sum(-1)  # (N, frames, n_fft//2 + 1)
            return torch.log(power @ self.mel_bank + LOG_OFFSET) @ self.dct


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
