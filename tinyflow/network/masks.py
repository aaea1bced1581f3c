"""A network run at a padded size, masked: hooks on the layers through which padding could speak (network/padding.py).

The layers themselves know nothing of padding, so pruning it is building the same network without the hooks.
"""

from collections.abc import Callable

from torch import Tensor, nn

from tinyflow.network.module import FactorizedReduce
from tinyflow.network.padding import Padding, pad_to


def run_padded(network: nn.Module, size: tuple[int, int], valid: tuple[int, int]) -> None:
    """From now on ``network`` pads its features (N, 1, *valid) to ``size``, or takes them padded, and masks every
    layer.
    """
    padding = Padding(size, valid)
    _before(network, lambda x: pad_to(x, size))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            _valid_statistics(module, padding)
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            _before(module, padding.crop)
        elif isinstance(module, nn.MaxPool2d):
            _before(module, padding.lowest)
            module.register_forward_hook(lambda module, inputs, output: padding.zero(output))
        elif (
            isinstance(module, (nn.AvgPool2d, FactorizedReduce))
            or isinstance(module, nn.Conv2d)
            and module.kernel_size != (1, 1)
        ):
            _before(module, padding.zero)


def _before(module: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
    module.register_forward_pre_hook(lambda module, inputs: (change(inputs[0]), *inputs[1:]))


def _valid_statistics(module: nn.BatchNorm2d, padding: Padding) -> None:
    """When training, batch norm sees the valid part alone."""
    sizes: list[int] = []

    def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        sizes[:] = inputs[0].shape[2:]
        return padding.crop(inputs[0]) if module.training else inputs[0]

    module.register_forward_pre_hook(before)
    module.register_forward_hook(lambda module, inputs, output: pad_to(output, (sizes[0], sizes[1])))
