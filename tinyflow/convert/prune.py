"""Chipping away the zero padding (paper, section 3.3): a network that ran padded and masked, at its features' own size.

It gives the same logits (tests/train/test_padding.py is the theorem), with fewer MACs and smaller tensors throughout.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinyflow.compile.plan import plan_memory
from tinyflow.network.genotype import Genotype
from tinyflow.network.shape_graph import shape_graph

if TYPE_CHECKING:
    from torch import nn


def prune(genotype: Genotype, network: "nn.Module") -> tuple[Genotype, "nn.Module"]:
    """(genotype, network in eval mode) without zero padding: the same weights; as they are when there is none."""
    from tinyflow.network.build import build_network

    if not genotype.padded_size:
        return genotype, network
    pruned = build_network(genotype.pruned())
    pruned.load_state_dict(network.state_dict())
    return genotype.pruned(), pruned.eval()


@dataclass(frozen=True)
class Saving:
    """What pruning saves: nominal MACs, and the arena planned for the shapes of int8 tensors."""

    padded_macs: int
    pruned_macs: int
    padded_arena_bytes: int
    pruned_arena_bytes: int

    def __str__(self) -> str:
        macs = f"{self.pruned_macs / 1e6:.2f} of {self.padded_macs / 1e6:.2f} M MACs"
        return f"{macs}, {self.pruned_arena_bytes:,} of {self.padded_arena_bytes:,} B of arena (planned)"


def saving(genotype: Genotype) -> Saving:
    """What pruning ``genotype``, which has a padded size, saves. The padded arena is that of the same operators at that
    size, masks left out: int8 TFLite would need more for them."""
    from tinyflow.network.build import build_network
    from tinyflow.network.count import count

    shape, pruned = (1, *genotype.frontend.shape), genotype.pruned()
    macs = [count(build_network(item), shape)[1] for item in (genotype, pruned)]
    arenas = [plan_memory(shape_graph(pruned, size)).arena_bytes for size in (genotype.padded_size, None)]
    return Saving(*macs, *arenas)
