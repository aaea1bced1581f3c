"""Batch norms fold into the convolutions before them: what the device computes has none."""

from copy import deepcopy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tinyflow.errors import TinyflowError
from tinyflow.network.alignment import Resample


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """A copy in eval mode with every batch norm folded into the convolution before it; the same function.

    A resampling between the two only repeats and drops positions, so that folding reaches across it.
    """
    network = deepcopy(network).eval()
    for sequence in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        before: tuple[int, nn.Conv2d] | None = None  # place of the convolution that a batch norm here folds into
        for index, layer in enumerate(sequence):
            if isinstance(layer, nn.BatchNorm2d) and before is not None:
                sequence[before[0]] = fuse_conv_bn_eval(before[1], layer)
                sequence[index] = nn.Identity()
            if not isinstance(layer, Resample):
                before = (index, layer) if isinstance(layer, nn.Conv2d) else None
    if any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        raise TinyflowError(
            "a batch norm does not follow a convolution and cannot be folded", "put it behind a convolution"
        )
    return network
