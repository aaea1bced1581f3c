"""The exact fit, and the table of coefficients against the emulator and measured images."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
from targets import on

from tinyflow.board import load_board
from tinyflow.compile.graph import Graph
from tinyflow.compile.plan import plan_memory
from tinyflow.cost import footprint as image
from tinyflow.cost import instructions
from tinyflow.cost.genotype_fit import exact_fit
from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import MfccConfig
from tinyflow.frontend.registry import front_end_named
from tinyflow.network.converted_order import Nodes
from tinyflow.network.operations import OPERATION_SETS
from tinyflow.network.shape_graph import operation, shape_graph
from tinyflow.search.random_genotype import random_genotype

COUNTED = {  # docs/frontend.md, QEMU
    "400/100/40": 2_365_820,
    "400/100/80": 3_042_055,
    "400/200/40": 1_190_435,
    "400/200/80": 1_530_730,
    "640/160/40": 2_029_320,
    "640/160/80": 2_440_115,
    "640/320/40": 1_025_130,
    "640/320/80": 1_232_615,
    "640/320/40/mfcc10": 973_275,
    "640/320/40/mfcc10/fft1024": 1_412_240,
    "400/200/40/fft512": 1_241_635,
}


def genotype(**more):
    return random_genotype(
        random.Random(5), MfccConfig(), labels=tuple("abcdefghijkl"), **{"channels": 8, "cells": 3, **more}
    )


@pytest.mark.parametrize("name", COUNTED)
def test_front_ends_take_what_was_counted(name):
    assert instructions.frontend_instructions(front_end_named(name)) == pytest.approx(COUNTED[name], rel=0.01)


def test_the_table_prices_every_operation_and_says_how_it_was_made():
    table = instructions.table()
    assert (
        "12.2" in table["compiler"]
        and "-O2" in table["flags"]
        and table["emulator"].startswith("QEMU")
        and table["date"]
    )
    for name in {name for names in OPERATION_SETS.values() for name in names}:
        for stride, shape in ((1, (9, 7, 4)), (2, (9, 7, 4)), (2, (8, 8, 4))):
            network = Nodes()
            state, positive = (network.add(label, "", (), shape, starts=(label,)) for label in ("raw", "positive"))
            operation(network, name, "0_0", "cell", state, lambda: positive, stride)
            tensors, made, _ = network.operators(range(len(network.nodes)))
            graph = Graph("operation", tensors, (), (), ())
            assert all(instructions.operator_instructions(graph, op) > 0 for op in made.values())


def test_counts_are_those_of_the_kernels_blocks():
    graph = shape_graph(genotype())
    planes = next(
        op for op in graph.ops if instructions.kind(graph, op) == "depthwise_3x3" and op.options["dilation_h"] == 1
    )
    _, rows, columns, channels = graph.tensor(planes.outputs[0]).shape
    work, outputs, inputs, apart, runs, starts = instructions.work(graph, planes)
    rows += rows % 2  # two at a time, padding and all
    assert (work, outputs, runs, starts) == (9 * outputs, rows * columns * channels, rows * channels, channels)
    assert {inputs, apart} == {0, graph.tensor(planes.inputs[0]).elements}
    product = next(
        op for op in graph.ops if instructions.kind(graph, op) == "pointwise" and op.options["stride_h"] == 1
    )
    (_, rows, columns, channels), weights = (
        graph.tensor(product.outputs[0]).shape,
        graph.tensor(product.inputs[1]).shape,
    )
    blocks, depth = -(-rows * columns // 3), -(-weights[3] // 4) * 4
    assert channels % 2 == 0, "else one more in the counts"
    assert instructions.work(graph, product)[:2].tolist() == [3 * blocks * depth * channels, 3 * blocks * channels]
    assert instructions.work(graph, product)[4] == blocks


def test_budgets_and_reasons():
    board, network = load_board("nucleo-l4r5zi"), genotype()
    fit = exact_fit(network, replace(board, instruction_budget=0))
    assert fit.fits and not fit.reasons and len(fit.savings) == 3
    assert fit.arena_bytes == plan_memory(shape_graph(network)).arena_bytes
    assert fit.ram_bytes == fit.arena_bytes + board.stack_bytes + image.static_bytes(network.frontend)
    value = json.loads(json.dumps(fit.to_dict()))
    assert (
        value["labels"]["arena_bytes"] == "planned"
        and value["labels"]["instructions"] == "estimated"
        and "QEMU" in value["how"]
    )
    tight = replace(
        board, instruction_budget=1_000_000, memory=tuple(replace(region, length=16384) for region in board.memory)
    )
    fit = exact_fit(network, tight)
    assert (
        not fit.fits
        and len(fit.reasons) == 3
        and "instructions per second of audio (estimated) exceed the 1,000,000" in fit.reasons[0]
    )
    assert exact_fit(network, load_board("host")).fits, "no memory and no budget: nothing to exceed"


def test_a_larger_network_needs_more_of_everything():
    board = load_board("nucleo-l4r5zi")
    small, large = (exact_fit(genotype(channels=channels), board) for channels in (8, 16))
    for name in ("instructions", "parameters", "macs", "arena_bytes", "ram_bytes", "flash_bytes"):
        assert getattr(small, name) < getattr(large, name), name


def test_what_was_not_measured_is_refused():
    with pytest.raises(TinyflowError, match="coefficients.py"):
        instructions.coefficients("convolution_7x7")


@pytest.mark.slow
@pytest.mark.qemu
def test_estimates_against_the_emulator_and_a_measured_image(tmp_path):
    """A network that the table was not fitted to."""
    pytest.importorskip("tensorflow", reason="needs tensorflow: make setup")
    from coefficients import convert

    from tinyflow.compile.foreign import compile_tflite
    from tinyflow.deploy.build import build
    from tinyflow.deploy.profile import profile

    network = random_genotype(random.Random(77), MfccConfig(n_mels=31, hop=333), channels=6, cells=3, operations="mcu")
    fit = exact_fit(network, load_board("nucleo-l4r5zi"))
    path = convert(network, tmp_path / "model")
    compiled = compile_tflite(path, tmp_path / "compile")
    np.savez(
        compiled.selftest,
        features=np.random.default_rng(0).integers(-128, 128, (1, compiled.input.elements)).astype(np.int8),
    )
    board = load_board("mps2-an386")
    counted = profile(on(build(compiled, board, tmp_path / "build"), board, compiled))
    assert (fit.macs, fit.arena_bytes) == (compiled.macs, compiled.arena_bytes)
    assert fit.instructions == pytest.approx(counted.invoke_units, rel=0.02)
    measured = build(compiled, load_board("nucleo-l4r5zi"), tmp_path / "image")
    frontend = instructions.table()["image"]["flash_frontend"] + network.frontend.table_bytes()
    assert fit.flash_bytes - frontend == pytest.approx(measured.flash_bytes, rel=0.05)
    assert fit.ram_bytes - image.frontend_buffers(network.frontend) == pytest.approx(measured.ram_bytes, rel=0.02)
