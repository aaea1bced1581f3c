"""Draft: a graph while a pass rewrites it."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from tinyflow.compile.graph import Graph, Op, Quantization, Tensor


class Draft:
    """Operators may be replaced and tensors appended; ``graph`` gives the result."""

    def __init__(self, graph: Graph):
        self._graph = graph
        self.tensors = list(graph.tensors)
        self.ops = list(graph.ops)
        self.inputs, self.outputs = graph.inputs, graph.outputs

    def graph(self) -> Graph:
        return replace(self._graph, tensors=tuple(self.tensors), ops=tuple(self.ops))

    # ---- who makes and reads what
    def maker(self, index: int) -> Op | None:
        return next((op for op in self.ops if index in op.outputs), None)

    def readers(self, index: int) -> list[Op]:
        return [op for op in self.ops if index in op.inputs]

    def sole_reader(self, index: int) -> Op | None:
        """The one operator that reads the tensor; None where there are several, or it is an output of the graph."""
        readers = self.readers(index)
        return readers[0] if len(readers) == 1 and index not in self.outputs else None

    def alike(self, first: int, second: int) -> bool:
        """Whether equal bytes of the two tensors mean equal values."""
        return self.tensors[first].alike(self.tensors[second])

    # ---- changes
    def add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, name: str, data: NDArray[Any], quantization: Quantization | None = None) -> int:
        return self.add(Tensor(name, data.shape, data.dtype.name, quantization, data))

    def put(self, op: Op, others: Iterable[Op]) -> None:
        """``others`` take the place of ``op``."""
        at = next(position for position, other in enumerate(self.ops) if other is op)
        self.ops[at : at + 1] = others

    def read(self, op: Op, old: int, new: int) -> None:
        """``op`` reads ``new`` in place of ``old``."""
        self.put(op, [replace(op, inputs=tuple(new if index == old else index for index in op.inputs))])

    def bypass(self, op: Op) -> None:
        """Removes ``op``, whose output is its first input; stays where both are inputs or outputs of the graph."""
        source, output = op.inputs[0], op.outputs[0]
        if output not in self.outputs:
            self.put(op, [])
            for reader in self.readers(output):
                self.read(reader, output, source)
        elif source not in (*self.inputs, *self.outputs) and (maker := self.maker(source)) is not None:
            self.put(op, [])
            for reader in self.readers(source):
                self.read(reader, source, output)
            self.put(maker, [replace(maker, outputs=(output,))])


def zero_point(tensor: Tensor) -> int | None:
    """Of a tensor with one scale; None where it is unknown."""
    return int(tensor.quantization.zero_point[0]) if tensor.quantization is not None else None
