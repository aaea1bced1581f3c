"""The two updates that a search alternates (paper, section 3.2), first order as PC-DARTS (Xu et al., 2020)."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from tinyflow.errors import TinyflowError
from tinyflow.recipe import Search
from tinyflow.search.cost import Resources
from tinyflow.search.data import Batch
from tinyflow.search.mixture import DataAwareSupernet
from tinyflow.search.supernet import Supernet
from tinyflow.search.world import World


class Steps:
    """Weights by SGD with a cosine to 0; alpha and beta by Adam, gamma in a group of its own without weight decay.

    A loss is a sum over this process's clips divided by the clips of the global batch, so gradients are summed over the
    processes. Nothing here looks at a value on the host.
    """

    def __init__(
        self, network: DataAwareSupernet, config: Search, resources: Resources | None = None, world: World = World()
    ):
        self.network, self.config, self.resources, self.world = network, config, resources, world
        self.run = torch.compile(network) if config.compile else network
        self.weights = network.weights()
        self.sgd = torch.optim.SGD(
            self.weights, lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
        )
        architecture = {
            "params": network.supernet.architecture(),
            "lr": config.arch_learning_rate,
            "weight_decay": config.arch_weight_decay,
        }
        gamma = {"params": [network.mixture.gamma], "lr": config.gamma_learning_rate, "weight_decay": 0.0}
        self.adam = torch.optim.Adam([architecture, gamma], betas=(0.5, 0.999))

    def learning_rate(self, epoch: float) -> float:
        """Of the weights; ``epoch`` counts in fractions."""
        return 0.5 * self.config.learning_rate * (1 + math.cos(math.pi * epoch / self.config.epochs))

    def train_weights(self, batch: Batch, epoch: float) -> Tensor:
        """One step on training clips; the mean loss of the global batch, 0-d."""
        self._learn(self.weights)
        for group in self.sgd.param_groups:
            group["lr"] = self.learning_rate(epoch)
        self.sgd.zero_grad()
        loss = self.loss(batch)
        loss.backward()
        self.world.sum_gradients(self.weights)
        if self.config.gradient_clip:
            torch.nn.utils.clip_grad_norm_(self.weights, self.config.gradient_clip)
        self.sgd.step()
        return self.world.sum(loss.detach())

    def train_architecture(self, batch: Batch, epoch: int) -> Tensor:
        """One step of alpha, beta and gamma on validation clips; the mean cross-entropy of the global batch, 0-d."""
        chosen = self.network.chosen()
        self._learn(chosen)
        self.adam.zero_grad()
        loss = self.loss(batch)
        (loss + self._terms(epoch) / self.world.size).backward()  # the sum over processes counts the terms once
        self.world.sum_gradients(chosen)
        self.adam.step()
        return self.world.sum(loss.detach())

    def loss(self, batch: Batch) -> Tensor:
        return F.cross_entropy(self.run(batch.features), batch.labels, reduction="sum") / batch.total

    def _terms(self, epoch: int) -> Tensor | float:
        """What the recipe adds to the architecture's loss."""
        config, terms = self.config, 0.0
        if config.beta_decay:
            done = (epoch + 1 - config.warmup_epochs) / (config.epochs - config.warmup_epochs)
            terms = terms + config.beta_decay * done * beta_decay(self.network.supernet)
        if self.resources and config.resource_weight:
            expected = self.resources.expected(self.network.supernet.mixing(), self.network.mixture.softmax())
            terms = terms + self.resources.penalty(expected, epoch)
        return terms

    def _learn(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Gradients for these alone: the others' would be computed in vain."""
        for parameter in self.network.parameters():
            parameter.requires_grad = False
        for parameter in parameters:
            parameter.requires_grad = True


def beta_decay(supernet: Supernet) -> Tensor:
    """Beta-decay regularisation (Ye et al., 2022, eq. 13): the mean over edges of logsumexp(alpha), for both cells. Its
    gradient is softmax(alpha), so the leading operations are held back most."""
    return sum(torch.logsumexp(alpha, 1).mean() for alpha in (supernet.alpha_normal, supernet.alpha_reduction))


class Meter:
    """Running sums of both losses on the device, and where the first one that is not finite came up."""

    def __init__(self, device: torch.device, values: list[float] | None = None):
        values = [0.0, 0.0, 0.0, 0.0, -1.0] if values is None else values
        *sums, bad = (torch.tensor(value, dtype=torch.float64, device=device) for value in values)
        self.sums, self.bad = sums, bad  # loss * clips and clips, of training and of validation

    def add(self, kind: int, loss: Tensor, clips: int, step: int) -> None:
        """``kind`` 0: training, 1: validation."""
        self.sums[2 * kind] += loss.double() * clips
        self.sums[2 * kind + 1] += clips
        self.bad = torch.where((self.bad < 0) & ~torch.isfinite(loss), 2 * step + kind, self.bad)

    def values(self) -> list[float]:
        return torch.stack([*self.sums, self.bad]).tolist()

    def means(self) -> tuple[float, float | None, int]:
        """Mean loss on training clips, on validation clips (None in the warm-up), and how many training clips."""
        first, clips, second, others, _ = self.values()
        return first / max(clips, 1), second / others if others else None, int(clips)

    def check(self, steps: Steps, epoch: int, count: int) -> None:
        """TinyflowError when a loss was not finite in ``epoch`` of ``count`` steps. Only here a step's values are
        waited for.
        """
        bad = int(self.values()[4])
        if bad < 0:
            return
        kind, step, config = ("weights'", "architecture's")[bad % 2], bad // 2, steps.config
        rates = (
            f"weights {steps.learning_rate(epoch + step / count):.4g}, alpha and beta {config.arch_learning_rate:.4g},"
            f" gamma {config.gamma_learning_rate:.4g}"
        )
        raise TinyflowError(
            f"the {kind} loss is not finite in epoch {epoch + 1}, step {step + 1} of {count} (learning rates: {rates})",
            "lower search.learning_rate (or arch_learning_rate, gamma_learning_rate), set search.gradient_clip, or"
            " search.precision=float32",
        )
