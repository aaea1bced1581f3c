"""A front end whose window and hop are learnt by gradient descent: the paper's future work (its section 5).

The short-time Fourier transform is differentiable in the length of its window and in the place of every frame, as
Leiber et al. (2023, "Differentiable short-time Fourier transform with respect to the hop length") show: a frame is cut
at the whole sample before its place t * hop, and the Hann window, a continuous function, is shifted by the rest.
Nothing is
interpolated: the power spectrum does not see where a frame begins.
"""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from tinyflow.errors import TinyflowError
from tinyflow.frontend.mel.config import smooth
from tinyflow.frontend.mel.front_end import MelFrontEnd
from tinyflow.frontend.mel.module import full_float32
from tinyflow.frontend.mel.tables import LOG_OFFSET, mel_bank
from tinyflow.search.norm import BatchNorm

Bounds = tuple[float, float]  # samples


class ContinuousFrontend(nn.Module):
    """Waveforms float32 (N, samples) to standardised features (N, 1, frames, features).

    ``parameters()`` are two numbers, of window and hop; they move within ``windows`` and ``hops`` (samples; default:
    from half to twice those of ``config``, where they start). The FFT has ``support`` points throughout, at least the
    longest window, so that a longer window means a finer resolution and not other frequencies: with 40 mels the first
    sample is on average within
    0.08 standard deviations of ``config``'s own, with 80, where n_fft = window leaves filters empty, within 0.25.
    ``frames`` are as many as the shortest window and hop have; those that no longer fit into the clip fade to 0, the
    mean, as the hop grows. Coefficients are standardised over the batch (running statistics in eval mode), as no scaler
    can be fixed beforehand.
    """

    channels = 1  # of the sample

    def __init__(
        self, config: MelFrontEnd, samples: int | None = None, windows: Bounds | None = None, hops: Bounds | None = None
    ):
        super().__init__()
        self.config = config
        self.samples = config.sample_rate if samples is None else samples
        self.windows = windows or (config.window / 2, min(2 * config.window, self.samples))
        self.hops = hops or (config.hop / 2, 2 * config.hop)
        for name, start, (low, high) in (("window", config.window, self.windows), ("hop", config.hop, self.hops)):
            if not 1 <= low < start < high:
                raise TinyflowError(
                    f"the {name} {start} does not lie between {low:g} and {high:g} samples",
                    "bounds on either side of where the search starts",
                )
        self.support = next(n for n in range(2 * math.ceil(self.windows[1] / 2) + 2, 2**31, 2) if smooth(n))
        if self.windows[1] > self.samples:
            raise TinyflowError(
                f"a window of {self.windows[1]:g} samples does not fit into {self.samples}", "a lower bound"
            )
        self.frames = 1 + math.ceil((self.samples - self.windows[0]) / self.hops[0])
        self.position = nn.Parameter(
            torch.tensor([_position(config.window, self.windows), _position(config.hop, self.hops)])
        )
        dense = replace(config, n_fft=self.support)
        self.register_buffer("mel_bank", torch.from_numpy(mel_bank(dense)), persistent=False)
        matrix = config.matrix()
        self.register_buffer("matrix", None if matrix is None else torch.from_numpy(matrix), persistent=False)
        self.norm = BatchNorm(config.features)

    @property
    def size(self) -> tuple[int, int]:
        """(frames, features) of the sample, whatever window and hop are now."""
        return self.frames, self.config.features

    def window_hop(self) -> tuple[Tensor, Tensor]:
        """Both in samples, 0-d float64. The hop is at most the window: else samples would be lost."""
        window, hop = (_value(position, bounds) for position, bounds in zip(self.position, (self.windows, self.hops)))
        return window, torch.minimum(hop, window)

    def forward(self, waveform: Tensor) -> tuple[Tensor, None]:
        """The sample and what of it is valid, as DataMixture gives them: all (None)."""
        features, valid = self.features(waveform)
        with full_float32(waveform.device):
            mask = valid.to(features)[None, None, :, None]
            x = self.norm(features.transpose(1, 2)[..., None], mask) * mask  # (N, features, frames, 1)
        return x.permute(0, 3, 2, 1).to(waveform), None

    def features(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """(N, frames, features), and (frames,) from 1 to 0: how far each frame lies within the clip.

        With a whole window and hop the frames within the clip are a front end's with n_fft = support.
        """
        if waveform.dim() != 2 or waveform.shape[1] != self.samples:
            raise TinyflowError(
                f"the continuous front end got waveforms {tuple(waveform.shape)}", f"(N, {self.samples})"
            )
        window, hop = self.window_hop()
        number = torch.arange(self.frames, dtype=torch.float64, device=waveform.device)
        places = number * hop
        first = places.detach().floor()
        offset = torch.arange(self.support, dtype=torch.float64, device=waveform.device)
        inside = (offset - (places - first)[:, None]) / window  # (frames, support): from 0 to 1 within the window
        hann = torch.where((inside > 0) & (inside < 1), 0.5 - 0.5 * torch.cos(2 * math.pi * inside), 0.0)
        samples = first.clamp(max=self.samples).long()[:, None] + offset.long()
        with full_float32(waveform.device):
            cut = nn.functional.pad(waveform, (0, self.support))[:, samples] * hann.to(waveform)  # (N, frames, support)
            spectrum = torch.view_as_real(torch.fft.rfft(cut)).square()
            energies = (spectrum[..., 0] + spectrum[..., 1]) @ self.mel_bank.to(waveform)
            features = torch.log(energies + LOG_OFFSET)
            features = features if self.matrix is None else features @ self.matrix.to(waveform)
        return features, (1 + (self.samples - window) / hop - number).clamp(0, 1)

    def snap(self) -> MelFrontEnd:
        """The nearest front end that the C can compute: an even window of factors 2, 3 and 5 (n_fft = window), a whole
        hop.
        """
        window, hop = (float(value) for value in self.window_hop())
        fits = [n for n in range(2, self.support + 1, 2) if smooth(n) and self.windows[0] <= n <= self.windows[1]]
        if not fits:
            raise TinyflowError(
                f"no even product of 2, 3 and 5 lies between {self.windows[0]:g} and {self.windows[1]:g}",
                "wider bounds of the window",
            )
        chosen = min(fits, key=lambda n: abs(n - window))
        return replace(self.config, window=chosen, n_fft=chosen, hop=max(1, min(round(hop), chosen)))

    def describe(self) -> dict[str, Any]:
        """For the history: window and hop in samples, frames within the clip, and the front end they would become."""
        window, hop = (float(value) for value in self.window_hop())
        return {"window": window, "hop": hop, "frames": 1 + (self.samples - window) / hop, "snapped": self.snap().name}


def _value(position: Tensor, bounds: Bounds) -> Tensor:
    """From low to high on a logarithmic scale, as ``position`` goes from -inf to inf; in float64, as frames count in
    samples.
    """
    low, high = bounds
    return low * (high / low) ** torch.sigmoid(position.double())


def _position(value: float, bounds: Bounds) -> float:
    """The inverse of ``_value``; 0 in the geometric middle."""
    low, high = bounds
    share = math.log(value / low) / math.log(high / low)
    return math.log(share / (1 - share))
