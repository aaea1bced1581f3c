"""The continuous front end in the data mixture's place: window and hop are learnt on validation clips, as gamma is."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from tinyflow.frontend.mel.front_end import MelFrontEnd
from tinyflow.search.continuous import ContinuousFrontend
from tinyflow.search.data import Batch, SearchData


class WaveformData(SearchData):
    """Batches whose only features are the waveforms (N, samples): what is made of them is learnt."""

    def __init__(self, dataset, config, device, progress, world):
        super().__init__(dataset, (), config, device, progress, world, waveforms=True)

    def _batch(self, rows: Tensor, labels: Tensor) -> Batch:
        batch = super()._batch(rows, labels)
        return replace(batch, features=(batch.waveforms,))


class LearntFrontend(nn.Module):
    """What a search asks of a DataMixture (search/mixture.py), for one ContinuousFrontend: nothing is mixed, nothing
    stops.
    """

    alignment, channels, layers, stopped, winner = "native", 1, (), False, None

    def __init__(self, start: MelFrontEnd, samples: int):
        super().__init__()
        self.frontend = ContinuousFrontend(start, samples)

    def forward(self, features: tuple[Tensor], weights: Tensor | None = None) -> tuple[Tensor, None]:
        return self.frontend(features[0])

    @property
    def configs(self) -> tuple[MelFrontEnd]:
        """The front end that window and hop would become now."""
        return (self.frontend.snap(),)

    @property
    def gamma(self) -> nn.Parameter:
        """Window and hop: they take gamma's place in eq. 1."""
        return self.frontend.position

    def softmax(self) -> Tensor:
        return torch.ones(1, device=self.gamma.device)

    shares = softmax

    def one_hot(self, index: int) -> Tensor:
        return self.softmax()

    def weights(self) -> list[nn.Parameter]:
        return []

    def settle(self, ratio: float, collapse: bool) -> bool:
        return False

    def describe(self) -> dict[str, Any]:
        return self.frontend.describe()
