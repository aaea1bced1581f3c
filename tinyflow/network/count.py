"""Parameters and MACs of a network, as every number in tinyflow counts them.

MACs: convolutions and fully connected layers, batch 1, nominal (padding counted). Parameters: before
folding, batch norm included.
"""

from typing import Any

import torch
from torch import nn


def count(network: nn.Module, shape: tuple[int, ...]) -> tuple[int, int]:
    """(parameters, macs) of ``network`` for one input of ``shape`` without its batch, e.g. (1, frames, features)."""
    macs = 0

    def convolution(layer: nn.Conv2d, inputs: Any, output: torch.Tensor) -> None:
        nonlocal macs
        macs += output[0].numel() * layer.weight[0].numel()

    def linear(layer: nn.Linear, inputs: Any, output: torch.Tensor) -> None:
        nonlocal macs
        macs += layer.weight.numel()

    hooks = [m.register_forward_hook(convolution) for m in network.modules() if isinstance(m, nn.Conv2d)]
    hooks += [m.register_forward_hook(linear) for m in network.modules() if isinstance(m, nn.Linear)]
    training = network.training
    device = next(network.parameters()).device
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, *shape, device=device))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return sum(parameter.numel() for parameter in network.parameters()), macs
