"""The plain front of a search that ours is measured against, and the oracle of its test. Frozen.

Every front end by itself through torchaudio, as it is defined (docs: one definition, two languages), scaled, aligned
and summed with softmax(gamma). It shares no code with tinyflow.features or tinyflow.search but MfccConfig.
"""

from collections.abc import Sequence

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional as F

from tinyflow.frontend.mfcc.config import MfccConfig


class PlainFeatures(nn.Module):
    """Waveforms float32 (N, samples) to scaled features (N, frames, n_mfcc), one entry per front end.

    ``scales``: per front end mean and standard deviation (n_mfcc,).
    """

    def __init__(self, configs: Sequence[MfccConfig], scales: Sequence[tuple[Tensor, Tensor]]):
        super().__init__()
        self.transforms = nn.ModuleList(
            torchaudio.transforms.MFCC(
                config.sample_rate,
                config.n_mfcc,
                log_mels=True,
                norm="ortho",
                melkwargs=dict(
                    n_fft=config.n_fft,
                    win_length=config.window,
                    hop_length=config.hop,
                    n_mels=config.n_mels,
                    center=False,
                    mel_scale="htk",
                    norm=None,
                ),
            )
            for config in configs
        )
        self.scales = [tuple(scale) for scale in scales]

    @torch.no_grad()
    def forward(self, waveform: Tensor) -> list[Tensor]:
        return [
            (transform(waveform).transpose(1, 2) - mean) / std
            for transform, (mean, std) in zip(self.transforms, self.scales)
        ]


class PlainMixture(nn.Module):
    """Features of every front end to one sample (N, channels, H, W): pre-processed to the smallest size, or padded to
    the largest.
    """

    def __init__(self, configs: Sequence[MfccConfig], alignment: str = "preprocess", channels: int = 1):
        super().__init__()
        shapes = [config.shape for config in configs]
        self.alignment = alignment
        choose = min if alignment == "preprocess" else max
        self.size = tuple(choose(shape[axis] for shape in shapes) for axis in (0, 1))
        self.gamma = nn.Parameter(torch.zeros(len(shapes)))
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
        for shape in shapes if alignment == "preprocess" else ():
            strides = tuple(
                max(s for s in range(1, n + 1) if -(-n // s) >= target) for n, target in zip(shape, self.size)
            )
            self.convolutions.append(nn.Conv2d(1, channels, 3, strides, 1, bias=False))
            self.norms.append(nn.BatchNorm2d(channels, affine=False))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        weights, total = F.softmax(self.gamma, 0), 0
        for index, value in enumerate(features):
            x = value.unsqueeze(1)
            if self.alignment == "preprocess":
                x = self.norms[index](F.interpolate(self.convolutions[index](x), self.size, mode="nearest-exact"))
            else:
                x = F.pad(x, (0, self.size[1] - x.shape[3], 0, self.size[0] - x.shape[2]))
            total = total + weights[index] * x
        return total
