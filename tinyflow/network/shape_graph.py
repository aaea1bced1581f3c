"""A Graph of a genotype's network without its weights: the operators, shapes and order that our export gives.

So search can ask the planner and the cost table about a network that nobody has trained or converted. Pure Python and
numpy; weights are zeros that take no memory, tensors carry no quantisation. The structure is that of network/module.py
and network/ds_cnn.py; tests/compile/test_shape_graph.py holds it against real conversions.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyflow.compile.graph import Graph
from tinyflow.compile.passes import run_passes
from tinyflow.errors import TinyflowError
from tinyflow.network.converted_order import Nodes
from tinyflow.network.genotype import Cell, Genotype
from tinyflow.network.operations import Separable, facts

STEM_MULTIPLIER = 3  # channels after the stem, in units of C (network/module.py)


def shape_graph(genotype: Genotype, size: tuple[int, int] | None = None, ordered: bool = True) -> Graph:
    """The int8 Graph of ``genotype`` as read_tflite and the passes give it after conversion; zero padding pruned.

    ``size``: features of so many (frames, coefficients) instead of the front end's own, as they were before pruning.
    ``ordered``: in the order that is best for the arena; instructions and counts need none.

    TinyflowError when the genotype names no labels, or an operation unknown here.
    """
    return run_passes(_network(genotype, size).graph(genotype.task), ordered)


def count_parameters(genotype: Genotype) -> int:
    """Parameters before folding, as network/count.py counts them."""
    return sum(node.parameters for node in _network(genotype).nodes)


def _network(genotype: Genotype, size: tuple[int, int] | None = None) -> Nodes:
    if not genotype.labels:
        raise TinyflowError("the genotype names no labels", "set them from the task: genotype.with_task(task, labels)")
    network = Nodes()
    source = network.add("features", "", (), (*(size or genotype.frontend.shape), 1), starts=("features",))
    last = _ds_cnn(network, source) if genotype.architecture == "ds_cnn" else _cells(network, genotype, source)
    network.finish(last, len(genotype.labels))
    return network


def _cells(network: Nodes, genotype: Genotype, x: int) -> int:
    """Stem and cells, in the order of DerivedNetwork.forward."""
    channels, stride = genotype.channels, genotype.stem_stride
    if genotype.alignment == "preprocess" and genotype.alignment_layer is not None:
        x = _alignment(network, genotype.alignment_layer, x)
    x = network.convolution(x, "stem_stem_0", STEM_MULTIPLIER * channels, (3, 3), (stride, stride))
    before = last = network.relu(x, "")
    after_reduction = False
    for index in range(genotype.cells):
        reduces = index in genotype.reductions
        channels *= 2 if reduces else 1
        nodes, rectify = genotype.reduction if reduces else genotype.normal, index + 1 < genotype.cells
        before, last = (
            last,
            _cell(network, nodes, f"cells_{index}", before, last, channels, reduces, after_reduction, rectify),
        )
        after_reduction = reduces
    return last


def _cell(
    network: Nodes,
    nodes: Cell,
    scope: str,
    before: int,
    last: int,
    channels: int,
    reduces: bool,
    after_reduction: bool,
    rectify: bool,
) -> int:
    if after_reduction:
        states = [network.factorized_reduce(before, f"{scope}_before", channels)]
    else:
        states = [network.convolution(before, f"{scope}_before_before_0", channels)]
    states.append(network.convolution(last, f"{scope}_last_last_0", channels))
    rectified: dict[int, int] = {}

    def positive(source: int) -> int:
        if source not in rectified:
            rectified[source] = network.relu(states[source], scope)
        return rectified[source]

    for number, node in enumerate(nodes):
        terms = []
        for side, edge in enumerate(node):
            stride = 2 if reduces and edge.source < 2 else 1
            terms.append(
                operation(
                    network,
                    edge.operation,
                    f"{number}_{side}",
                    scope,
                    states[edge.source],
                    lambda: positive(edge.source),
                    stride,
                )
            )
        states.append(network.sum(terms[0], terms[1], scope))
    return network.concatenation(
        tuple(positive(index) if rectify else states[index] for index in range(2, len(states))), scope
    )


def operation(network: Nodes, name: str, edge: str, cell: str, x: int, positive: Callable[[], int], stride: int) -> int:
    """The edge operation ``name`` on the state ``x``; ``positive`` gives the rectified state."""
    scope, known = f"{cell}_edges_{edge}", facts(name)
    if known.pool:
        return network.pool(x, scope, "MAX_POOL_2D" if known.pool == "max" else "AVERAGE_POOL_2D", stride)
    if known.skip:
        return x if stride == 1 else network.factorized_reduce(positive(), scope, network.shape(x)[2])
    result, layer = positive(), 0  # layer: its place in the torch module's Sequential, which names it
    if known.residual:
        source = network.pool(x, f"{scope}_source", "AVERAGE_POOL_2D", stride) if stride > 1 else x
        # The order that conversions show is the one in which nothing beside this sum has a name before it; why, is
        # not known.
        added, _ = _separable(network, known.separables[0], f"{scope}_convolution_convolution", 0, result, stride)
        return network.sum(source, added, "")
    for part in known.separables:
        if layer:
            result, layer = network.relu(result, f"{scope}_edges_{edge}_{layer}"), layer + 1
        result, layer = _separable(network, part, f"{scope}_edges_{edge}", layer, result, 1 if layer else stride)
    return result


def _separable(network: Nodes, part: Separable, scope: str, layer: int, x: int, stride: int) -> tuple[int, int]:
    """One part on ``x``, its first layer being number ``layer`` of ``scope``; and the number of what follows it."""
    channels, kernel, strides = network.shape(x)[2], (part.rows, part.columns), (stride, stride)
    folds = not part.pointwise  # the batch norm into the depthwise convolution, giving it a bias
    x = network.convolution(
        x, f"{scope}_{layer}", channels, kernel, strides, part.dilation, depthwise=True, biased=folds
    )
    if part.pointwise:
        x = network.convolution(x, f"{scope}_{layer + 1}", channels)
    return x, layer + 2 + part.pointwise


def _alignment(network: Nodes, layer: dict[str, Any], x: int) -> int:
    """The kept pre-process layer (network/alignment.py): a strided convolution, then nearest
    neighbours to ``size``.
    """
    kernel, stride, size, channels = layer["kernel"], tuple(layer["stride"]), tuple(layer["size"]), layer["channels"]
    x = network.convolution(x, "alignment_alignment_0", channels, (kernel, kernel), stride, affine=False)
    if network.shape(x)[:2] == size:
        return x
    options = {"align_corners": False, "half_pixel_centers": True}
    return network.add(
        "alignment_resize",
        "RESIZE_NEAREST_NEIGHBOR",
        (x,),
        (*size, channels),
        options=options,
        constants=(np.array(size, np.int32),),
    )


def _ds_cnn(network: Nodes, x: int, channels: int = 64, blocks: int = 4) -> int:
    """The baseline of network/ds_cnn.py. Where its padding is just SAME's, the converter takes it
    into the convolution.
    """
    same = all(size % 2 for size in network.shape(x)[:2])
    x = x if same else network.pad(x, (4, 5), (1, 2))
    x = network.relu(network.convolution(x, "1", channels, (10, 4), (2, 2), same=same), "3")
    for block in range(blocks):
        x = network.relu(
            network.convolution(x, f"{5 + 6 * block}", channels, (3, 3), depthwise=True), f"{7 + 6 * block}"
        )
        x = network.relu(network.convolution(x, f"{8 + 6 * block}", channels), f"{10 + 6 * block}")
    return x
