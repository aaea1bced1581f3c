"""The two alignments of paper, section 3.3: how features of different front ends become samples of one size.

Pre-process: every branch, the smallest one too, is a strided convolution, a fixed nearest-neighbour resampling to
exactly the smallest size, and a batch norm without affine: a scale cannot hide in the convolution, so gamma means
something. All of it exists in int8 TFLite. Zero-pad: to the largest size (network/padding.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tinyflow.compile.resampling import nearest
from tinyflow.frontend.protocol import FrontEnd

KERNEL = 3


@dataclass(frozen=True)
class Alignment:
    """The pre-process layer of one front end; what Genotype.alignment_layer holds when it is kept."""

    kernel: int
    stride: tuple[int, int]  # along frames and coefficients
    size: tuple[int, int]  # frames and coefficients of the aligned sample
    channels: int = 1

    def to_dict(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @staticmethod
    def from_dict(value: dict[str, Any]) -> "Alignment":
        """The inverse of ``to_dict``; tinyflow.network.genotype checks what a file says."""
        return Alignment(value["kernel"], tuple(value["stride"]), tuple(value["size"]), value["channels"])

    def convolved(self, shape: tuple[int, int]) -> tuple[int, int]:
        """The size after the strided convolution of features of ``shape``: ceil(n / stride)."""
        (rows, columns), (down, along) = shape, self.stride
        return -(-rows // down), -(-columns // along)


def aligned_size(configs: Sequence[FrontEnd]) -> tuple[int, int]:
    """The smallest (frames, features) over ``configs``, axis by axis: where pre-process leads."""
    return min(config.shape[0] for config in configs), min(config.shape[1] for config in configs)


def padded_size(configs: Sequence[FrontEnd]) -> tuple[int, int]:
    """The largest (frames, features) over ``configs``, axis by axis: what zero-pad fills up to."""
    return max(config.shape[0] for config in configs), max(config.shape[1] for config in configs)


def alignments(configs: Sequence[FrontEnd], channels: int = 1) -> tuple[Alignment, ...]:
    """One layer per configuration, all of one depth: per axis the largest stride that leaves at least the target."""
    size = aligned_size(configs)
    return tuple(
        Alignment(KERNEL, (_stride(config.shape[0], size[0]), _stride(config.shape[1], size[1])), size, channels)
        for config in configs
    )


def _stride(n: int, target: int) -> int:
    return max(stride for stride in range(1, n + 1) if -(-n // stride) >= target)


def geometry(configs: Sequence[FrontEnd]) -> list[dict[str, Any]]:
    """What ``alignments`` does to each configuration, as rows of a table: sizes are (frames, coefficients)."""
    layers = zip(configs, alignments(configs))
    return [
        {
            "frontend": config.name,
            "features": config.shape,
            "stride": layer.stride,
            "convolved": layer.convolved(config.shape),
            "aligned": layer.size,
        }
        for config, layer in layers
    ]


class Resample(nn.Module):
    """(N, C, h, w) to (N, C, *size) by nearest neighbour, as RESIZE_NEAREST_NEIGHBOR with half_pixel_centers does."""

    def __init__(self, size: tuple[int, int]):
        super().__init__()
        self.size = tuple(size)
        self._indices: dict[tuple[Any, ...], Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        for axis, outputs in ((2, self.size[0]), (3, self.size[1])):
            inputs = int(x.shape[axis])  # int: a constant for the ONNX export, which traces sizes
            if inputs == outputs:
                continue
            key = (inputs, outputs, x.device)
            if key not in self._indices:
                self._indices[key] = torch.from_numpy(nearest(inputs, outputs)).to(x.device)
            x = x.index_select(axis, self._indices[key])
        return x


def plain_norm(channels: int) -> nn.Module:
    """Batch norm without affine."""
    return nn.BatchNorm2d(channels, affine=False)


class AlignmentBranch(nn.Sequential):
    """Features (N, 1, frames, features) to samples (N, channels, *size). ``norm`` makes the batch norm, without affine,
    of so many channels: the search's sums its statistics over processes.
    """

    def __init__(self, alignment: Alignment, norm: Callable[[int], nn.Module] = plain_norm):
        convolution = nn.Conv2d(
            1, alignment.channels, alignment.kernel, alignment.stride, alignment.kernel // 2, bias=False
        )
        super().__init__(convolution, Resample(alignment.size), norm(alignment.channels))
