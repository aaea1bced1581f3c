"""The data mixture: sum over d of softmax(gamma)_d · align_d(features_d) (paper, section 3.1)."""

from typing import Any

import torch
from torch import Tensor, nn

from tinyflow.frontend.protocol import FrontEnd
from tinyflow.network.alignment import AlignmentBranch, aligned_size, alignments, padded_size
from tinyflow.network.padding import Padding, pad_to
from tinyflow.search.norm import BatchNorm
from tinyflow.search.supernet import Mixing, Supernet


class DataMixture(nn.Module):
    """Features of every front end, scaled, to one sample that the supernet reads.

    gamma starts at zero: no front end is ahead. ``stopped``: the data search is over and gamma frozen (eq. 2);
    ``winner``: from then on this front end alone speaks (collapse), None while all do. A single configuration is
    aligned natively, and there is nothing to search.
    """

    def __init__(self, configs: tuple[FrontEnd, ...], alignment: str = "preprocess", channels: int = 1):
        super().__init__()
        self.configs = tuple(configs)
        self.alignment = alignment if len(self.configs) > 1 else "native"
        self.gamma = nn.Parameter(torch.zeros(len(self.configs)))
        self.branches = nn.ModuleList()
        self.layers = ()  # of the pre-process alignment, as a genotype keeps them
        if self.alignment == "preprocess":
            self.layers = alignments(self.configs, channels)
            self.branches.extend(AlignmentBranch(layer, BatchNorm) for layer in self.layers)
        self.channels = channels if self.alignment == "preprocess" else 1  # of the sample
        # of the sample
        self.size = aligned_size(self.configs) if self.alignment == "preprocess" else padded_size(self.configs)
        self.paddings = (
            tuple(Padding(self.size, config.shape) for config in self.configs) if self.alignment == "zero_pad" else ()
        )
        self.stopped = len(self.configs) == 1
        self.winner: int | None = None

    def forward(
        self, features: tuple[Tensor | None, ...], weights: Tensor | None = None
    ) -> tuple[Tensor, Padding | None]:
        """features: per configuration (N, frames, features), None where its weight is zero. weights: (D,), default
        softmax(gamma); giving them costs a look at their values. Returns float32 (N, channels, H, W), and what of it is
        valid: with the zero-pad alignment one configuration alone has its own valid size, several have all of it
        (None).
        """
        speaking = list(range(len(self.configs))) if self.winner is None else [self.winner]
        if weights is not None:
            speaking = [index for index, weight in enumerate(weights.tolist()) if weight]
        weights = (self.softmax() if weights is None else weights).unbind()
        x = sum(weights[index] * self.aligned(index, features[index]) for index in speaking)
        padding = self.paddings[speaking[0]] if self.paddings and len(speaking) == 1 else None
        return x, padding

    def aligned(self, index: int, features: Tensor) -> Tensor:
        """(N, frames, features) of configuration ``index`` to float32 (N, channels, H, W)."""
        x = features.unsqueeze(1)
        if self.alignment == "preprocess":
            return self.branches[index](x).float()
        return pad_to(x, self.size)

    def softmax(self) -> Tensor:
        """Shares of the configurations in the sample, (D,)."""
        return self.shares() if self.winner is None else self.one_hot(self.winner)

    def shares(self) -> Tensor:
        """softmax(gamma), (D,); after a collapse, as it was then."""
        return torch.softmax(self.gamma, 0)

    def one_hot(self, index: int) -> Tensor:
        weights = torch.zeros_like(self.gamma)
        weights[index] = 1
        return weights

    def weights(self) -> list[nn.Parameter]:
        """Of the alignment's convolutions: they learn with the network's weights."""
        return list(self.branches.parameters())

    def ratio(self) -> float:
        """The largest softmax(gamma) over the second."""
        first, second = torch.softmax(self.gamma.detach().double(), 0).topk(2).values.tolist()
        return first / second

    def settle(self, ratio: float, collapse: bool) -> bool:
        """The stop rule of section 3.1, looked at once an epoch; True when it has just been met."""
        if self.stopped or self.ratio() < ratio:
            return False
        self.stopped = True
        if collapse:
            self.collapse(int(self.gamma.argmax()))
        return True

    def collapse(self, index: int) -> None:
        """From now on configuration ``index`` alone."""
        self.stopped, self.winner = True, index

    def get_extra_state(self) -> dict[str, Any]:
        return {"stopped": self.stopped, "winner": self.winner}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.stopped, self.winner = state["stopped"], state["winner"]


class DataAwareSupernet(nn.Module):
    """The data mixture and the supernet that reads it: a batch's features to logits float32 (N, classes)."""

    def __init__(self, mixture: nn.Module, supernet: Supernet, bfloat16: bool = False):
        super().__init__()
        self.mixture, self.supernet, self.bfloat16 = mixture, supernet, bfloat16

    def forward(
        self, features: tuple[Tensor | None, ...], mixing: Mixing | None = None, shares: Tensor | None = None
    ) -> Tensor:
        """``mixing`` and ``shares`` (D,) replace alpha and beta, and softmax(gamma)."""
        with torch.autocast(self.mixture.gamma.device.type, torch.bfloat16, self.bfloat16):
            x, padding = self.mixture(features, shares)
            return self.supernet(x, padding, mixing).float()

    def weights(self) -> list[nn.Parameter]:
        """What training clips teach: all parameters but alpha, beta and gamma."""
        return [*self.supernet.weights(), *self.mixture.weights()]

    def chosen(self) -> list[nn.Parameter]:
        """What validation clips teach: alpha and beta, and gamma until the data search stops (eq. 1 and 2)."""
        return self.supernet.architecture() + ([] if self.mixture.stopped else [self.mixture.gamma])
