"""Random genotypes: what any search could hand over. Tests and the conversion sweep draw from them."""

import random

from tinyflow.frontend.mfcc import MfccConfig
from tinyflow.frontend.protocol import FrontEnd
from tinyflow.network.genotype import NODES, Cell, Edge, Genotype
from tinyflow.network.operations import operations_of


def random_cell(rng: random.Random, operations: str = "darts") -> Cell:
    """Four nodes of two edges from distinct earlier sources, as derivation picks them; operations
    of the set, uniform.
    """
    return tuple(
        tuple(Edge(rng.choice(operations_of(operations)), source) for source in sorted(rng.sample(range(node + 2), 2)))
        for node in range(NODES)
    )


def random_genotype(
    rng: random.Random,
    frontend: FrontEnd | None = None,
    labels: tuple[str, ...] = ("a", "b", "c", "d"),
    channels: int = 4,
    cells: int = 3,
    stem_stride: int = 2,
    operations: str = "darts",
) -> Genotype:
    """A genotype with random cells; small enough by default to convert in seconds."""
    normal, reduction = random_cell(rng, operations), random_cell(rng, operations)
    return Genotype("keywords", labels, frontend or MfccConfig(), normal, reduction, channels, cells, stem_stride)
