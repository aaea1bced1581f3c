"""The shape-only Graph against real conversions, and its counts against torch's."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from tinyflow.compile.graph import Graph
from tinyflow.compile.plan import plan_memory
from tinyflow.cost.instructions import macs
from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import TABLE_1, MfccConfig
from tinyflow.network.alignment import alignments
from tinyflow.network.build import build_network
from tinyflow.network.count import count
from tinyflow.network.genotype import Cell, Edge, Genotype
from tinyflow.network.shape_graph import count_parameters, shape_graph
from tinyflow.search.random_genotype import random_genotype

ODD = MfccConfig(window=480, hop=333, n_mels=31)  # 47 x 31
# what conversion merges into one node
TWINS: Cell = tuple((Edge("max_pool_3x3", 0), Edge("skip_connect", 1)) for _ in range(4))

WASTE = {"MUL", "PAD", "PADV2", "STRIDED_SLICE", "TRANSPOSE"}


def case(name: str) -> Genotype:
    kind, seed = name.split()
    rng = random.Random(int(seed))
    front_end = ODD if int(seed) % 3 == 2 else rng.choice(TABLE_1)
    genotype = random_genotype(
        rng,
        front_end,
        channels=rng.choice((3, 4, 5)),
        cells=1 + int(seed) % 4,
        stem_stride=1 + int(seed) % 2,
        operations="mcu" if kind == "mcu" else "darts",
    )
    if kind == "aligned":
        index = int(seed) % 8
        genotype = replace(
            genotype,
            frontend=TABLE_1[index],
            alignment="preprocess",
            alignment_layer=alignments(TABLE_1, 2)[index].to_dict(),
        )
    if kind == "twins":
        genotype = replace(genotype, normal=TWINS, reduction=TWINS)
    return replace(genotype, architecture="ds_cnn") if kind == "ds_cnn" else genotype


def operators(graph: Graph) -> list[tuple]:
    """Kind, who made the inputs, shapes and options, in order: all that the plan and the costs depend on."""
    maker = dict.fromkeys(graph.inputs, -1) | {op.outputs[0]: step for step, op in enumerate(graph.ops)}
    rows = []
    for op in graph.ops:
        inputs = [
            ("step", maker[index]) if index in maker else graph.tensor(index).shape for index in op.inputs if index >= 0
        ]
        options = sorted(op.options.items())
        if {"table", "rectified"} & set(op.options):  # a fused function of one value, known or not
            options = [
                (key, value)
                for key, value in options
                if key not in ("table", "input_scale", "input_zero_point", "rectified")
            ] + ["fused"]
        if op.kind == "STRIDED_SLICE":  # the file may say the same slice with masks or without
            inputs, options = inputs[:1], []
        rows.append((op.kind, inputs, graph.tensor(op.outputs[0]).shape, options))
    return rows


def converted(genotype: Genotype, folder) -> Graph:
    """What our export makes of the network with random weights and statistics."""
    from tinyflow.compile.passes import run_passes
    from tinyflow.compile.tflite import read_tflite
    from tinyflow.convert.onnx import export_onnx
    from tinyflow.convert.quantize import INT8, convert

    torch.manual_seed(0)
    network = build_network(genotype).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0.0, 0.2)
            module.running_var.uniform_(0.3, 2.0)
    features = np.random.default_rng(0).standard_normal((8, *genotype.frontend.shape)).astype(np.float32)
    export_onnx(network, (1, *genotype.frontend.shape), folder / "model.onnx", features[:, None])
    np.save(folder / "features.npy", features)
    convert(str(folder / "model.onnx"), str(folder / "features.npy"), str(folder))
    return run_passes(read_tflite(folder / INT8))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["darts 3", "darts 5", "darts 10", "mcu 2", "mcu 7", "aligned 4", "aligned 1", "ds_cnn 2", "twins 3"]
)
def test_operators_and_arena_are_those_of_the_conversion(name, tmp_path):
    pytest.importorskip("tensorflow", reason="needs tensorflow: make setup")
    genotype = case(name)
    real, shapes = converted(genotype, tmp_path), shape_graph(genotype)
    assert operators(shapes) == operators(real)
    assert plan_memory(shapes).arena_bytes == plan_memory(real).arena_bytes
    assert plan_memory(shapes).bound_bytes == plan_memory(real).bound_bytes
    assert not WASTE & {op.kind for op in real.ops}


@pytest.mark.parametrize("kind", ["darts", "mcu", "aligned", "ds_cnn"])
def test_our_own_networks_waste_nothing(kind):
    for seed in range(40):
        assert not WASTE & {op.kind for op in shape_graph(case(f"{kind} {seed}")).ops}, seed


@pytest.mark.parametrize(
    "name", [f"{kind} {seed}" for kind in ("darts", "mcu", "aligned", "ds_cnn", "twins") for seed in range(6)]
)
def test_parameters_and_macs_are_torchs(name):
    torch.set_num_threads(1)
    genotype = case(name)
    assert (count_parameters(genotype), macs(shape_graph(genotype))) == count(
        build_network(genotype), (1, *genotype.frontend.shape)
    )


def test_zero_padding_is_pruned():
    genotype = case("darts 4")
    padded = replace(genotype, alignment="zero_pad", alignment_layer={"size": [157, 80]})
    assert operators(shape_graph(padded)) == operators(shape_graph(genotype))


def test_weights_take_no_memory():
    graph = shape_graph(replace(case("darts 3"), channels=64))
    weights = [tensor for tensor in graph.tensors if tensor.constant and tensor.name.endswith("/weights")]
    assert weights and all(set(tensor.data.strides) == {0} and tensor.data.shape == tensor.shape for tensor in weights)


def test_errors_say_what_is_missing():
    with pytest.raises(TinyflowError, match="labels"):
        shape_graph(replace(case("darts 3"), labels=()))
    unknown: Cell = tuple((Edge("conv_7x7", 0), Edge("skip_connect", 1)) for _ in range(4))
    with pytest.raises(TinyflowError, match="conv_7x7"):
        shape_graph(replace(case("darts 3"), normal=unknown))
