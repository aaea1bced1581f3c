"""The choice of layouts: cheapest, shared copies, and to the last bit."""

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from bit_exact import assert_bit_exact
from model_zoo import ds_cnn
from test_passes_windows import Net

from tinyflow.compile.graph import Graph
from tinyflow.compile.passes import layouts, run_passes
from tinyflow.compile.passes.cut import FOREVER, Cut
from tinyflow.compile.passes.dead import remove_dead
from tinyflow.compile.passes.layouts import choose_layouts, either
from tinyflow.compile.tflite import parse_tflite

DEPTHWISE, CONV = ("DEPTHWISE_CONV_2D", (1, 3, 3, 6)), ("CONV_2D", (6, 3, 3, 6))


def copies(graph: Graph) -> list[int]:
    """Bytes of each LAYOUT."""
    return [graph.tensor(op.outputs[0]).bytes for op in graph.ops if op.kind == "LAYOUT"]


def chosen(data: bytes) -> Graph:
    """With layouts; the whole pipeline is TFLM's to the last bit."""
    pytest.importorskip("tflite_micro", reason="needs the tflite-micro wheel: make setup")
    assert_bit_exact(data)
    graph = choose_layouts(parse_tflite(data, "net"))
    assert choose_layouts(graph).ops == graph.ops
    for op in graph.ops:
        alike = {graph.tensor(index).planar for index in (*op.inputs, *op.outputs) if not either(graph.tensor(index))}
        assert op.kind in ("LAYOUT", "CONV_2D", "MEAN", "RESHAPE") or len(alike) <= 1, op.kind
    assert not any(graph.tensor(index).planar for index in (*graph.inputs, *graph.outputs))
    return graph


def window(net, x, what, **more):
    return net.window(what[0], x, what[1], padding="SAME", **more)


def test_readers_share_one_copy():
    net = Net()
    x = window(net, net.input, CONV)
    outputs = [window(net, x, DEPTHWISE) for _ in range(3)] + [window(net, x, CONV)]
    total = outputs[0]
    for output in outputs[1:]:
        total = net.emit("ADD", [total, output], (1, 9, 8, 6), "AddOptions")
    graph = chosen(net.finish(total))
    assert [op.kind for op in graph.ops].count("DEPTHWISE_CONV_2D") == 3
    assert all(
        op.inputs[0] == next(op for op in graph.ops if op.kind == "DEPTHWISE_CONV_2D").inputs[0]
        for op in graph.ops
        if op.kind == "DEPTHWISE_CONV_2D"
    )


def test_copies_are_of_the_smaller_map():
    """A pool between a depthwise and a general convolution takes either layout: the copy is behind it, where the map is
    small.
    """
    net = Net((1, 12, 12, 6))
    x = window(net, net.input, DEPTHWISE)
    x = net.slice(x, 0, 0)
    y = window(net, net.relu(x, (np.float32(0.03), -128)), CONV)
    graph = chosen(net.finish(net.relu(x), y))
    assert max(copies(graph)) == 12 * 12 * 6 and copies(graph).count(12 * 12 * 6) == 1  # the input's
    assert sum(copies(graph)) == 12 * 12 * 6 + 6 * 6 * 6, "one, that both readers share"


def test_a_network_without_depthwise_convolutions_stays_as_it_is():
    net = Net()
    x = net.relu(window(net, net.input, CONV))
    assert not any(tensor.planar for tensor in chosen(net.finish(window(net, x, CONV))).tensors)


def test_outputs_of_the_network_are_pixels():
    net = Net()
    output = window(net, window(net, net.input, DEPTHWISE), DEPTHWISE)
    data = net.b.finish([net.input], [output])
    graph = chosen(data)
    assert [op.kind for op in graph.ops] == ["LAYOUT", "DEPTHWISE_CONV_2D", "DEPTHWISE_CONV_2D", "LAYOUT"]
    assert graph.ops[-1].outputs == graph.outputs


def test_batches_stay_pixels():
    net = Net((3, 5, 4, 6))
    graph = parse_tflite(net.finish(window(net, net.relu(net.input), DEPTHWISE)), "net")
    assert not any(tensor.planar for tensor in choose_layouts(graph).tensors)


def test_the_keyword_network_needs_no_copies():
    graph = run_passes(parse_tflite(ds_cnn(), "ds_cnn"))
    assert copies(graph) == [], "pointwise convolutions write planes, the first layer's single channel is either"


@pytest.mark.parametrize("seed", range(12))
def test_no_choice_is_cheaper(seed):
    """Against all choices for random chains and sums, by the price that the cut minimises."""
    rng = random.Random(seed)
    net = Net((1, 6, 5, 6), seed=seed)
    maps = [net.input]
    for _ in range(6):
        x = rng.choice(maps)
        kind = rng.choice(["conv", "pointwise", "depthwise", "relu", "add"])
        if kind == "add":
            maps.append(net.emit("ADD", [x, rng.choice(maps)], (1, 6, 5, 6), "AddOptions"))
        elif kind == "relu":
            maps.append(net.relu(x))
        else:
            maps.append(
                window(net, x, {"conv": CONV, "depthwise": DEPTHWISE, "pointwise": ("CONV_2D", (6, 1, 1, 6))}[kind])
            )
    graph = remove_dead(parse_tflite(net.b.finish([net.input], [maps[-1]]), "net"))
    nodes = [("tensor", index) for op in graph.ops for index in op.outputs]
    best = min(
        price(graph, set(itertools.compress(nodes, bits))) for bits in itertools.product((0, 1), repeat=len(nodes))
    )
    assert price(graph, layouts._planar(graph)) == best
    assert sum(copies(choose_layouts(graph))) * layouts.CONVERT == best


def price(graph: Graph, planar: set) -> float:
    """Of the copies that these planar tensors need; infinite where an operator cannot make what it should."""
    total, wanted = 0, {}
    for position, op in enumerate(graph.ops):
        made = ("tensor", op.outputs[0]) in planar
        wish = layouts._wish(graph, position, op, op.outputs[0], output=True)
        if isinstance(wish, bool) and wish != made:
            return float("inf")
        for index in op.inputs:
            wish_in = layouts._wish(graph, position, op, index, output=False)
            if wish_in is not None:
                wanted.setdefault(index, set()).add(made if isinstance(wish_in, tuple) else wish_in)
    for index, layouts_ in wanted.items():
        total += layouts.CONVERT * graph.tensor(index).bytes * len(layouts_ - {("tensor", index) in planar})
    (output,) = graph.outputs
    return total + layouts.CONVERT * graph.tensor(output).bytes * (("tensor", output) in planar)


def test_cuts_are_minimal():
    """Against all partitions of small random graphs."""
    rng = random.Random(0)
    for _ in range(40):
        nodes = list(range(5))
        edges = [
            (rng.choice([Cut.SOURCE, *nodes]), rng.choice([Cut.SINK, *nodes]), rng.choice([1, 2, 5, FOREVER]))
            for _ in range(9)
        ]
        edges = [edge for edge in edges if edge[0] != edge[1] and edge[:2] != (Cut.SOURCE, Cut.SINK)]
        cut = Cut()
        for edge in edges:
            cut.edge(*edge)
        costs = []
        for bits in itertools.product((False, True), repeat=5):
            sink = {node for node, bit in zip(nodes, bits) if bit} | {Cut.SINK}
            costs.append(sum(price_ for first, second, price_ in edges if first not in sink and second in sink))
        sink = cut.sink_side() | {Cut.SINK}
        found = sum(price_ for first, second, price_ in edges if first not in sink and second in sink)
        assert found == min(costs)


def test_shapes_alone_decide():
    graph = parse_tflite(ds_cnn(), "ds_cnn")
    bare = replace(graph, tensors=tuple(replace(tensor, quantization=None) for tensor in graph.tensors))
    assert [tensor.planar for tensor in choose_layouts(graph).tensors] == [
        tensor.planar for tensor in choose_layouts(bare).tensors
    ]
