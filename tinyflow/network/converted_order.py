"""The TensorFlow function of a network without its weights, and what the converter makes of it.

The order of operators decides the arena. TensorFlow's importer writes them in the reverse post-order of a depth-first
search from constants and inputs, neighbours by name; so nodes have the names here that torch.onnx and onnx_to_tf.py
give them. Then the converter merges equal operators and moves RELU into the operator before it. Pure Python and numpy.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyflow.compile.graph import Graph, Op, Tensor
from tinyflow.compile.tflite import output_size, pad_before

FUSES_RELU = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD")
SLICE_OPTIONS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask", "offset")
Pair = tuple[int, int]  # rows and columns
Shape = tuple[int, int, int]  # rows, columns, channels


@dataclass(frozen=True)
class Node:
    """An operator of the TensorFlow function: ``name`` is where the search for the order meets it."""

    name: str
    kind: str
    inputs: tuple[int, ...]
    shape: Shape
    options: dict[str, Any] = field(default_factory=dict)
    weights: tuple[int, ...] = ()
    parameters: int = 0  # before folding: weights, and the two of a batch norm per channel
    constants: tuple[npt.NDArray[Any], ...] = ()
    starts: tuple[str, ...] = ()  # names of the constants, or the input, from which the search enters at this node


class Nodes:
    """The TensorFlow function under construction."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._used: dict[str, int] = {}
        self._traced: dict[tuple[Any, ...], int] = {}

    def once(self, key: tuple[Any, ...], make: Callable[[], int]) -> int:
        """torch.onnx traces an operator without weights once, however often the network calls it
        on the same tensors.
        """
        if key not in self._traced:
            self._traced[key] = make()
        return self._traced[key]

    def add(self, name: str, kind: str, inputs: tuple[int, ...], shape: Shape, **more: Any) -> int:
        self.nodes.append(Node(name, kind, inputs, shape, **more))
        return len(self.nodes) - 1

    def shape(self, node: int) -> Shape:
        return self.nodes[node].shape

    def unique(self, name: str) -> str:
        """``name``, name_1, name_2, ... as torch.onnx and TensorFlow both count."""
        count = self._used[name] = self._used.get(name, -1) + 1
        return f"{name}_{count}" if count else name

    def onnx(self, scope: str, kind: str) -> str:
        return self.unique(f"{scope}_{kind}" if scope else kind) + "_output_0"

    # ---- operators
    def convolution(
        self,
        x: int,
        scope: str,
        outputs: int,
        kernel: Pair = (1, 1),
        stride: Pair = (1, 1),
        dilation: int = 1,
        depthwise: bool = False,
        biased: bool = True,
        affine: bool = True,
        same: bool | None = None,
    ) -> int:
        """``biased``: a batch norm folds into it; ``affine``: with a scale and a shift. ``same``: TensorFlow's SAME or
        VALID; None: as torch pads odd kernels.
        """
        own = self.unique("DepthwiseConv2dNative" if depthwise else "Conv2D")
        name = self.onnx(scope, "Conv")
        source = x
        if same is None:
            needed, same = self._windows(x, kernel, stride, dilation)
            source = x if same else self.pad(x, *needed)
        options = _options(stride, same) | {"dilation_h": dilation, "dilation_w": dilation}
        if depthwise:
            options["channel_multiplier"] = 1
        size = _sizes(self.shape(source), kernel, stride, dilation, options["padding"])
        channels = self.shape(x)[2]
        node = (source,)
        if biased:  # the operator and its bias are two nodes there
            node = (self.add(own, "", (source,), (*size, outputs)),)
        kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        weights = (1, *kernel, channels) if depthwise else (outputs, *kernel, channels)
        starts = (f"{name}/bias",) if biased else ()
        parameters = int(np.prod(weights)) + (2 * outputs if biased and affine else 0)
        return self.add(
            name if biased else own,
            kind,
            node,
            (*size, outputs),
            options=options,
            weights=weights,
            parameters=parameters,
            starts=starts,
        )

    def pool(self, x: int, scope: str, kind: str, stride: int) -> int:
        """3 x 3. An average pool counts its padding, so it is padded before; a maximum one is subsampled where the
        origin of its windows is not that of SAME.
        """
        return self.once((kind, x, stride), lambda: self._pool(x, scope, kind, stride))

    def _pool(self, x: int, scope: str, kind: str, stride: int) -> int:
        average = kind == "AVERAGE_POOL_2D"
        name = self.onnx(scope, "AveragePool" if average else "MaxPool")
        kernel, strides, extent = (3, 3), (stride, stride), {"filter_h": 3, "filter_w": 3}
        needed, same = self._windows(x, kernel, strides, 1)
        if average:
            source = self.pad(x, *needed)
            size = _sizes(self.shape(source), kernel, strides, 1, "VALID")
            return self.add(name, kind, (source,), (*size, self.shape(x)[2]), options=_options(strides, False) | extent)
        if same:
            size = _sizes(self.shape(x), kernel, strides, 1, "SAME")
            return self.add(name, kind, (x,), (*size, self.shape(x)[2]), options=_options(strides, True) | extent)
        dense = self.add(self.unique("MaxPool2d"), kind, (x,), self.shape(x), options=_options((1, 1), True) | extent)
        return self.every_other(dense, 0, self.unique("strided_slice"))

    def pad(self, x: int, rows: Pair, columns: Pair, name: str = "") -> int:
        if not any(rows + columns):
            return x
        height, width, channels = self.shape(x)
        pads = np.array([(0, 0), rows, columns, (0, 0)], np.int32)
        return self.add(
            name or self.unique("Pad"),
            "PAD",
            (x,),
            (height + sum(rows), width + sum(columns), channels),
            constants=(pads,),
        )

    def every_other(self, x: int, first: int, name: str) -> int:
        """x[first::2, first::2]."""
        rows, columns, channels = self.shape(x)
        shape = (len(range(first, rows, 2)), len(range(first, columns, 2)), channels)
        bounds = np.array([(0, first, first, 0), (1, rows, columns, channels), (1, 2, 2, 1)], np.int32)
        return self.add(
            name,
            "STRIDED_SLICE",
            (x,),
            shape,
            options=dict.fromkeys(SLICE_OPTIONS, 0),
            constants=tuple(bounds),
            starts=(f"{name}/stack",),
        )

    def relu(self, x: int, scope: str) -> int:
        return self.once(("RELU", x), lambda: self.add(self.onnx(scope, "Relu"), "RELU", (x,), self.shape(x)))

    def sum(self, x: int, y: int, scope: str) -> int:
        return self.once(
            ("ADD", x, y),
            lambda: self.add(self.onnx(scope, "Add"), "ADD", (x, y), self.shape(x), options={"activation": "NONE"}),
        )

    def concatenation(self, parts: tuple[int, ...], scope: str) -> int:
        channels = sum(self.shape(part)[2] for part in parts)
        return self.add(
            self.onnx(scope, "Concat"),
            "CONCATENATION",
            parts,
            (*self.shape(parts[0])[:2], channels),
            options={"axis": 3, "activation": "NONE"},
        )

    def factorized_reduce(self, x: int, scope: str, outputs: int) -> int:
        rows, columns, _ = self.shape(x)
        shifted = x
        if rows % 2 or columns % 2:
            shifted = self.once(
                ("PAD", x), lambda: self.pad(x, (0, rows % 2), (0, columns % 2), self.onnx(scope, "Pad"))
            )
        even = self.convolution(x, f"{scope}_even_even_0", outputs // 2, stride=(2, 2))
        odd = self.once(("STRIDED_SLICE", shifted), lambda: self.every_other(shifted, 1, self.onnx(scope, "Slice")))
        odd = self.convolution(odd, f"{scope}_odd_odd_0", outputs - outputs // 2)
        return self.concatenation((even, odd), scope)

    def _windows(self, x: int, kernel: Pair, stride: Pair, dilation: int) -> tuple[tuple[Pair, Pair], bool]:
        """(rows, columns) of padding that some window reads, and whether TensorFlow's SAME is just that."""
        needed, same = [], True
        for size, k, s in zip(self.shape(x), kernel, stride):
            extent = (k - 1) * dilation + 1
            before = extent // 2
            windows = (size + 2 * before - extent) // s + 1
            after = max(0, (windows - 1) * s + extent - size - before)
            needed.append((before, after))
            total = max(0, (-(-size // s) - 1) * s + extent - size)
            same &= (before, after) == (total // 2, total - total // 2)
        return (needed[0], needed[1]), same

    # ---- the converter's part
    def finish(self, last: int, classes: int) -> None:
        """Global pool and classifier behind ``last``."""
        channels = self.shape(last)[2]
        mean = self.add(
            "GlobalAveragePool_output_0",
            "MEAN",
            (last,),
            (1, 1, channels),
            options={"keep_dims": True},
            constants=(np.array([1, 2], np.int32),),
        )
        options, weights = {"activation": "NONE", "weights_format": 0}, (classes, channels)
        self.add(
            "logits",
            "FULLY_CONNECTED",
            (mean,),
            (1, 1, classes),
            options=options,
            weights=weights,
            parameters=classes * (channels + 1),
        )

    def graph(self, name: str) -> Graph:
        """Ordered, merged, fused."""
        tensors, made, place = self.operators(self._order())
        ops = list({op.outputs: op for op in made.values()}.values())  # merged ones once
        sources = tuple(place[index] for index, node in enumerate(self.nodes) if not node.inputs)
        return Graph(name, tensors, tuple(_fuse_relu(ops)), sources, ops[-1].outputs)

    def operators(self, order: Iterable[int]) -> tuple[tuple[Tensor, ...], dict[int, Op], dict[int, int]]:
        """(tensors, node -> operator, node -> its tensor), equal operators merged, not fused yet."""
        tensors: list[Tensor] = []
        made: dict[int, Op] = {}
        place: dict[int, int] = {}
        merged: dict[tuple[Any, ...], Op] = {}

        def tensor(
            label: str, shape: tuple[int, ...], dtype: str = "int8", data: npt.NDArray[Any] | None = None
        ) -> int:
            tensors.append(Tensor(label, tuple(shape), dtype, data=data))
            return len(tensors) - 1

        def zeros(label: str, shape: tuple[int, ...], dtype: str) -> int:
            return tensor(label, shape, dtype, np.broadcast_to(np.zeros((), dtype), shape))

        for index in order:
            node = self.nodes[index]
            if not node.kind:  # an input, or the first half of a convolution
                place[index] = place[node.inputs[0]] if node.inputs else tensor(node.name, (1, *node.shape))
                continue
            inputs = tuple(place[i] for i in node.inputs)
            key = (node.kind, inputs, tuple(node.options.items()), *(constant.tobytes() for constant in node.constants))
            if not node.weights and key in merged:
                made[index] = merged[key]
                place[index] = made[index].outputs[0]
                continue
            extra = tuple(
                tensor(f"{node.name}/constant", constant.shape, "int32", constant) for constant in node.constants
            )
            if node.weights:
                extra = (
                    zeros(f"{node.name}/weights", node.weights, "int8"),
                    zeros(f"{node.name}/bias", node.shape[2:], "int32"),
                )
            place[index] = tensor(node.name, (1, *node.shape) if node.kind != "FULLY_CONNECTED" else (1, node.shape[2]))
            made[index] = merged[key] = _resolved(
                Op(node.kind, (*inputs, *extra), (place[index],), dict(node.options)), tensors
            )
        return tuple(tensors), made, place

    def _order(self) -> list[int]:
        """Reverse post-order of the depth-first search from every start, the last name first (TensorFlow's
        GetReversePostOrder).
        """
        readers: dict[int, list[int]] = {index: [] for index in range(len(self.nodes))}
        for index, node in enumerate(self.nodes):
            for source in set(node.inputs):
                readers[source].append(index)
        starts = sorted((start, index) for index, node in enumerate(self.nodes) for start in node.starts)
        stack = [(index, False) for _, index in starts]
        seen: set[int] = set()
        order: list[int] = []
        while stack:
            index, done = stack.pop()
            if done:
                order.append(index)
            elif index not in seen:
                seen.add(index)
                stack.append((index, True))
                stack += [
                    (reader, False) for reader in sorted(readers[index], key=lambda reader: self.nodes[reader].name)
                ]
        return order[::-1]


def _options(stride: Pair, same: bool) -> dict[str, Any]:
    return {"stride_h": stride[0], "stride_w": stride[1], "padding": "SAME" if same else "VALID", "activation": "NONE"}


def _sizes(shape: Shape, kernel: Pair, stride: Pair, dilation: int, padding: str) -> Pair:
    rows, columns = (output_size(n, k, s, dilation, padding) for n, k, s in zip(shape, kernel, stride))
    return rows, columns


def _resolved(op: Op, tensors: list[Tensor]) -> Op:
    """With pad_top and pad_left, as the reader writes them."""
    if "padding" not in op.options:
        return op
    options, source, output = dict(op.options), tensors[op.inputs[0]].shape, tensors[op.outputs[0]].shape
    filters = (options["filter_h"], options["filter_w"]) if "filter_h" in options else tensors[op.inputs[1]].shape[1:3]
    for axis, (side, letter) in enumerate((("top", "h"), ("left", "w"))):
        dilation = options.get(f"dilation_{letter}", 1)
        options[f"pad_{side}"] = pad_before(
            source[axis + 1], filters[axis], output[axis + 1], options[f"stride_{letter}"], dilation
        )
    return replace(op, options=options)


def _fuse_relu(ops: list[Op]) -> list[Op]:
    """RELU becomes the activation of the operator before it, at RELU's place, where nothing else reads that one's
    output.
    """
    makers = {op.outputs[0]: op for op in ops}
    readers: dict[int, int] = {}
    for op in ops:
        for index in op.inputs:
            readers[index] = readers.get(index, 0) + 1
    gone, fused = set(), []
    for op in ops:
        maker = makers.get(op.inputs[0])
        if op.kind == "RELU" and maker is not None and maker.kind in FUSES_RELU and readers[op.inputs[0]] == 1:
            gone.add(op.inputs[0])
            op = Op(maker.kind, maker.inputs, op.outputs, maker.options | {"activation": "RELU"})
        fused.append(op)
    return [op for op in fused if op.outputs[0] not in gone]
