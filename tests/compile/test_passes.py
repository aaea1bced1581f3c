"""Passes change the graph, never an output bit."""

from dataclasses import replace

import numpy as np
import pytest
from bit_exact import assert_bit_exact, kernel_archive
from model_zoo import every_operator, resnet8
from tflite_builder import Builder

from tinyflow.compile.cgen import generate_model
from tinyflow.compile.graph import Graph
from tinyflow.compile.passes import run_passes
from tinyflow.compile.passes.dead import remove_dead
from tinyflow.compile.passes.views import simplify_views
from tinyflow.compile.plan import plan_memory
from tinyflow.compile.tflite import parse_tflite
from tinyflow.reference.hostmodel import HostModel

Q = (0.05, 3)


def answers(graph: Graph, folder, x) -> np.ndarray:
    generate_model(graph, plan_memory(graph), folder)
    return HostModel(folder, kernels=[kernel_archive()]).invoke(x)


def unchanged(graph: Graph, function, tmp_path) -> Graph:
    """``function`` applied, with the outputs of 10 random inputs compared byte by byte."""
    source = graph.tensor(graph.inputs[0])
    x = np.random.default_rng(4).integers(-128, 128, (10, source.elements)).astype(np.int8)
    after = function(graph)
    assert np.array_equal(answers(graph, tmp_path / "before", x), answers(after, tmp_path / "after", x))
    assert function(after) == after, "a pass run twice changes nothing more"
    return after


def with_dead_branch() -> Graph:
    """As a pass may leave one; the reader itself reads no dead operators."""
    b = Builder()
    x = b.tensor((1, 30), *Q)
    y, dead, deader = (b.tensor((1, 30), 0.06, n) for n in (1, 2, 3))
    b.op("RELU", [x], [y])
    b.op("RELU6", [y], [dead])
    b.op("ADD", [dead, x], [deader], "AddOptions")
    graph = parse_tflite(b.finish([x], [y, deader]), "m")
    assert len(graph.ops) == 3
    return replace(graph, outputs=(y,))


def test_dead_operators_go(tmp_path):
    graph = with_dead_branch()
    after = unchanged(graph, remove_dead, tmp_path)
    assert [op.kind for op in after.ops] == ["RELU"]
    assert after.tensors == graph.tensors, "indices stay those of the file"


def test_nothing_alive_goes(tmp_path):
    graph = parse_tflite(every_operator(), "m")
    assert unchanged(graph, remove_dead, tmp_path) == graph


def with_views():
    b = Builder()
    x = b.tensor((1, 4, 6), *Q)
    a = b.tensor((1, 1, 4, 6), *Q)
    b.op("EXPAND_DIMS", [x, b.const(np.array([1]), "int32")], [a], "ExpandDimsOptions")
    c = b.const(np.arange(24).reshape(4, 6), "int8", 0.05, 3)
    folded = b.tensor((1, 1, 4, 6), *Q)
    b.op(
        "RESHAPE",
        [c, b.const(np.array([1, 1, 4, 6]), "int32")],
        [folded],
        "ReshapeOptions",
        newShape=np.array([1, 1, 4, 6], np.int32),
    )
    y = b.tensor((1, 1, 4, 6), 0.1, 1)
    b.op("ADD", [a, folded], [y], "AddOptions")
    return x, y, b


def test_views_become_reshapes_and_those_of_constants_go(tmp_path):
    x, y, b = with_views()
    graph = parse_tflite(b.finish([x], [y]), "m")
    after = simplify_views(graph)
    assert [(op.kind, len(op.inputs)) for op in after.ops] == [("RESHAPE", 1), ("ADD", 2)]
    assert simplify_views(after) == after
    without = replace(graph, ops=tuple(op for op in graph.ops if op.kind != "RESHAPE"), tensors=after.tensors)
    unchanged(without, simplify_views, tmp_path)


def test_views_against_tflm():
    pytest.importorskip("tflite_micro", reason="needs the tflite-micro wheel: make setup")
    x, y, b = with_views()
    assert_bit_exact(b.finish([x], [y]))


def test_all_passes_on_whole_networks(tmp_path):
    graphs = {
        "all": parse_tflite(every_operator(), "all"),
        "resnet8": parse_tflite(resnet8(), "resnet8"),
        "dead": with_dead_branch(),
    }
    for name, graph in graphs.items():
        unchanged(graph, run_passes, tmp_path / name)
