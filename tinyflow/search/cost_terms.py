"""The parts that expected costs are sums of: which operators a choice of edges brings, and what they cost in every
cell.

An event is "some of these (cell kind, edge, operation) is chosen", or that two such happen together. Every operator of
the converted network depends on one: a convolution on its own edge and operation; a pool on all edges of the source
that share it (the converter merges equal operators); the RELU of a state on somebody who reads it rectified and
somebody who reads it as it is (else it is part of the operator before it, and free). What the compiler decides over the
whole network is left out (pools that it leaves pixel after pixel, copies between layouts, RELUs that depthwise
convolutions take over): a few per cent either way.
"""

from collections import defaultdict
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tinyflow.compile.graph import Graph
from tinyflow.compile.passes import LOCAL
from tinyflow.cost import instructions
from tinyflow.network.converted_order import Nodes
from tinyflow.network.genotype import NODES, Genotype
from tinyflow.network.shape_graph import operation
from tinyflow.search.supernet import EDGES

SOURCES = NODES + 1  # states that edges leave: two inputs, all nodes but the last
LEAVING = tuple(tuple(edge for edge, (_, start) in enumerate(EDGES) if start == source) for source in range(SOURCES))
Wanted = frozenset[tuple[int, int, int]]  # (0 normal or 1 reduction, edge, operation)
Event = tuple[Wanted, Wanted]  # both happen; twice the same: that one


@dataclass
class Costs:
    """What an event brings, summed over the cells."""

    instructions: dict[Event, float] = field(default_factory=lambda: defaultdict(float))
    parameters: dict[Event, float] = field(default_factory=lambda: defaultdict(float))


@dataclass(frozen=True)
class CellSize:
    """One cell: sizes (rows, columns) at its inputs and nodes, channels of its operations."""

    kind: int  # 0 normal, 1 reduction
    channels: int
    inputs: tuple[int, int]
    nodes: tuple[int, int]
    after_reduction: bool
    final: bool


def cell_sizes(genotype: Genotype) -> list[CellSize]:
    """The cells of ``genotype``, first to last."""
    layer = genotype.alignment_layer if genotype.alignment == "preprocess" else None
    size = tuple(layer["size"]) if layer else genotype.frontend.shape
    size = tuple(-(-n // genotype.stem_stride) for n in size)
    found, channels, after = [], genotype.channels, False
    for index in range(genotype.cells):
        reduces = index in genotype.reductions
        channels *= 2 if reduces else 1
        smaller = tuple(-(-n // 2) for n in size) if reduces else size
        found.append(CellSize(int(reduces), channels, size, smaller, after, index + 1 == genotype.cells))
        size, after = smaller, reduces
    return found


def cell_costs(genotype: Genotype, names: tuple[str, ...]) -> Costs:
    """Costs of every operation on every edge of the network of ``genotype``, whatever its own cells."""
    costs = Costs()
    for place in cell_sizes(genotype):
        for source in range(SOURCES):
            _source_costs(place, source, names, costs)
    return costs


def _source_costs(place: CellSize, source: int, names: tuple[str, ...], costs: Costs) -> None:
    stride = 2 if place.kind and source < 2 else 1
    shape = (*(place.inputs if source < 2 else place.nodes), place.channels)
    edges, kind = LEAVING[source], place.kind
    shared: dict[tuple, set[int]] = defaultdict(set)  # operator without weights before it -> operations that want it
    prices: dict[tuple, float] = {}
    rectified, plain = set(), set()
    for index, name in enumerate(names):
        network = Nodes()
        raw, positive = network.add("raw", "", (), shape), network.add("positive", "", (), shape)
        result = operation(network, name, "0_0", "cell", raw, lambda: positive, stride)
        graph, inputs = _operation_graph(network, (raw, positive), result)
        keys: dict[int, tuple] = dict(zip(inputs, (("raw",), ("positive",))))
        readers = {source_ for node in network.nodes for source_ in node.inputs} | {result}
        plain |= {index} if raw in readers else set()
        rectified |= {index} if positive in readers else set()
        alone = 0.0
        for op in graph.ops:
            free = op.kind in ("RELU", "CONCATENATION")  # fused in a sep_conv; placed in a factorized reduce
            price = 0.0 if free else instructions.operator_instructions(graph, op)
            parents = [parent for parent in op.inputs if not graph.tensor(parent).constant]
            if op.kind not in instructions.MACS and all(parent in keys for parent in parents):
                key = keys[op.outputs[0]] = (
                    op.kind,
                    *sorted(op.options.items()),
                    *(keys[parent] for parent in parents),
                )
                shared[key].add(index)
                prices[key] = price
            else:
                alone += price
        parameters = sum(node.parameters for node in network.nodes)
        for edge in edges:
            wanted = frozenset({(kind, edge, index)})
            costs.instructions[wanted, wanted] += alone
            costs.parameters[wanted, wanted] += parameters

    def some(operations: set[int]) -> Wanted:
        return frozenset((kind, edge, index) for edge in edges for index in operations)

    for key, operations in shared.items():
        costs.instructions[some(operations), some(operations)] += prices[key]
    network = Nodes()
    network.relu(network.add("state", "", (), shape), "")
    tensors, made, _ = network.operators(range(2))
    relu = instructions.operator_instructions(Graph("relu", tensors, (), (), ()), made[1])
    first, second = some(rectified), some(plain)
    if source == 0 and place.after_reduction or source > 1 and place.final:  # made by, or read by, a CONCATENATION
        second = first
    elif source > 1:  # the CONCATENATION reads it rectified
        first = second
    if first and second:
        costs.instructions[first, second] += relu


def _operation_graph(network: Nodes, sources: tuple[int, int], result: int) -> tuple[Graph, tuple[int, ...]]:
    """The operators of an edge as they end up beside each other, all in planes, as most are; and the tensors of
    ``sources`` in it.
    """
    tensors, made, place = network.operators(range(len(network.nodes)))
    tensors = tuple(replace(tensor, planar=len(tensor.shape) == 4 and not tensor.constant) for tensor in tensors)
    inputs = tuple(place[source] for source in sources)
    graph = Graph(
        "operation", tensors, tuple({op.outputs: op for op in made.values()}.values()), inputs, (place[result],)
    )
    for function in LOCAL:
        graph = function(graph)
    return graph, inputs


class Events:
    """Probabilities of all events that some costs name, as tensors."""

    def __init__(self, costs: list[Costs], operations: int):
        self.events = sorted(
            {event for cost in costs for part in (cost.instructions, cost.parameters) for event in part},
            key=lambda event: [sorted(wanted) for wanted in event],
        )
        wanted = sorted({part for event in self.events for part in event}, key=sorted)
        at = {part: index for index, part in enumerate(wanted)}
        self.members = torch.zeros(len(wanted), 2 * len(EDGES), operations, dtype=torch.float64)
        for part, row in at.items():
            for kind, edge, operation_ in part:
                self.members[row, kind * len(EDGES) + edge, operation_] = 1
        self.pairs = torch.tensor([[at[first], at[second]] for first, second in self.events])
        self.same = self.pairs[:, 0] == self.pairs[:, 1]

    def row(self, costs: dict[Event, float]) -> list[float]:
        return [costs.get(event, 0.0) for event in self.events]

    def to(self, device: torch.device) -> None:
        self.members, self.pairs, self.same = (part.to(device) for part in (self.members, self.pairs, self.same))

    def probabilities(self, chosen: Tensor) -> Tensor:
        """(events,) from ``chosen`` (2 * 14, operations): edges are taken to decide independently."""
        nobody = (1 - torch.einsum("weo,eo->we", self.members, chosen)).clamp_min(0)
        while (
            nobody.shape[1] > 1
        ):  # a product by halves: the gradient of torch.prod looks for zeros and waits for the device
            if nobody.shape[1] % 2:
                nobody = torch.cat([nobody, torch.ones_like(nobody[:, :1])], 1)
            nobody = torch.mul(*nobody.chunk(2, 1))
        first, second = (1 - nobody[:, 0])[self.pairs].unbind(1)
        return torch.where(self.same, first, first * second)
