"""Padded and masked evaluation: a network at the size of the largest front end that sees only the valid part.

With the zero-pad alignment (paper, section 3.3) features lie in the upper left of a larger map. A network gives there
what it would give at the features' own size if no operation lets padded positions speak: zeros before every
spatial convolution and average pool, -inf before a max pool, batch-norm statistics and the global pool over valid
positions only. Strides count from the first row and column, so n valid rows become ceil(n/2), as all rows do.
"""

from typing import Any

import torch
from torch import Tensor

from tinyflow.errors import TinyflowError


def halved(size: tuple[int, int]) -> tuple[int, int]:
    return (size[0] + 1) // 2, (size[1] + 1) // 2


class Padding:
    """Which part of a map is valid, at every resolution of a network that began with ``size`` and ``valid``.

    A resolution is known by its full size: stride 2 takes (H, W) to (ceil(H/2), ceil(W/2)) and so its valid part.
    """

    def __init__(self, size: tuple[int, int], valid: tuple[int, int]):
        if not all(0 < part <= whole for part, whole in zip(valid, size)):
            raise TinyflowError(
                f"valid size {tuple(valid)} does not lie in {tuple(size)}", "pad to the largest front end's size"
            )
        self.size = tuple(size)
        self.parts: dict[tuple[int, ...], tuple[int, int]] = {}
        self._masks: dict[tuple[Any, ...], Tensor] = {}
        full, part = size, valid
        while full not in self.parts:
            self.parts[full] = part
            full, part = halved(full), halved(part)

    def valid(self, x: Tensor) -> tuple[int, int]:
        """(rows, columns) of x (N, C, H, W) that are valid."""
        return self.parts[tuple(x.shape[2:])]

    def mask(self, x: Tensor) -> Tensor:
        """1 where x is valid, 0 elsewhere: (1, 1, H, W) of x's type and device."""
        key = (tuple(x.shape[2:]), x.dtype, x.device)
        if key not in self._masks:
            rows, columns = self.valid(x)
            mask = torch.zeros(1, 1, *x.shape[2:], dtype=x.dtype, device=x.device)
            mask[:, :, :rows, :columns] = 1
            self._masks[key] = mask
        return self._masks[key]

    def zero(self, x: Tensor) -> Tensor:
        """x with zeros outside its valid part, whatever is there: before convolutions and average pools."""
        return x.masked_fill(self.mask(x) == 0, 0.0)  # a product would make NaN of a max pool's -inf

    def lowest(self, x: Tensor) -> Tensor:
        """x with -inf outside its valid part: before max pools. Their result is zeroed before it is used further."""
        return x.masked_fill(self.mask(x) == 0, -torch.inf)

    def crop(self, x: Tensor) -> Tensor:
        """The valid part alone."""
        rows, columns = self.valid(x)
        return x[:, :, :rows, :columns]

    def mean(self, x: Tensor) -> Tensor:
        """The global average pool over the valid part, (N, C)."""
        return self.crop(x).mean((2, 3))


def pad_to(x: Tensor, size: tuple[int, int]) -> Tensor:
    """x (N, C, h, w) with zeros below and to the right, up to ``size``."""
    return torch.nn.functional.pad(x, (0, size[1] - x.shape[3], 0, size[0] - x.shape[2]))
