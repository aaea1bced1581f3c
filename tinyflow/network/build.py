"""The way from a genotype to its network: derived cells or a baseline, padded or not."""

from torch import nn

from tinyflow.errors import TinyflowError
from tinyflow.network.ds_cnn import ds_cnn
from tinyflow.network.genotype import Genotype
from tinyflow.network.masks import run_padded
from tinyflow.network.module import DerivedNetwork


def build_network(genotype: Genotype) -> nn.Module:
    """The network of ``genotype``: features (N, 1, frames, features) to logits (N, classes).

    With the zero-pad alignment and its layer {"size": [H, W]} it runs padded to that size and masked, and takes
    features of their own size and padded ones alike. TinyflowError when the genotype names no labels.
    """
    if not genotype.labels:
        raise TinyflowError("the genotype names no labels", "set them from the task: genotype.with_task(task, labels)")
    if genotype.architecture == "ds_cnn":
        return ds_cnn(len(genotype.labels))
    network = DerivedNetwork(genotype)
    if genotype.padded_size:
        run_padded(network, genotype.padded_size, genotype.frontend.shape)
    return network
