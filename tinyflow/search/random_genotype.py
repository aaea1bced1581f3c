"""Random genotypes: what any search could hand over. Tests and the conversion sweep draw from them."""

import random

from tinyflow.features.config import MfccConfig
from tinyflow.genotype import NODES, OPERATIONS, Cell, Edge, Genotype


def random_cell(rng: random.Random) -> Cell:
    """Four nodes of two edges from distinct earlier sources, as derivation picks them; operations uniform."""
    return tuple(
        tuple(Edge(rng.choice(OPERATIONS), source) for source in sorted(rng.sample(range(node + 2), 2)))
        for node in range(NODES)
    )


def random_genotype(
    rng: random.Random,
    mfcc: MfccConfig | None = None,
    labels: tuple[str, ...] = ("a", "b", "c", "d"),
    channels: int = 4,
    cells: int = 3,
    stem_stride: int = 2,
) -> Genotype:
    """A genotype with random cells; small enough by default to convert in seconds."""
    return Genotype("keywords", labels, mfcc or MfccConfig(), random_cell(rng), random_cell(rng), channels, cells, stem_stride)
