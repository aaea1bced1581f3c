"""What compile says about memory before any build: true of the graph, and added up."""

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bit_exact import compile_bytes
from mlperf_tiny import Network
from model_zoo import MODELS, every_operator

from tinyflow.board import Memory, load_board
from tinyflow.compile.buffers import live_bytes
from tinyflow.compile.passes import run_passes
from tinyflow.compile.plan import plan_memory
from tinyflow.compile.savings import memory_report, savings
from tinyflow.compile.tflite import parse_tflite
from tinyflow.cost.board_fit import board_fit
from tinyflow.network.shape_graph import shape_graph
from tinyflow.results import to_json
from tinyflow.search.random_genotype import random_genotype


def narrowing(first: int = 24, second: int = 8, third: int = 16):
    """A residual network: the first two convolutions are added, the third stands alone."""
    n = Network((1, 12, 10, 1))
    n.conv(first, (3, 3))
    skip, quant = n.at, n.quant
    n.depthwise()
    n.conv(second, (1, 1))
    n.conv(first, (3, 3))
    n.add(skip, quant)
    n.conv(third, (1, 1))
    n.average_pool(12, 10)
    n.flatten()
    n.dense(5)
    return run_passes(parse_tflite(n.finish(), "net"))


def constants(graph) -> int:
    kinds = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    return sum(graph.tensor(index).bytes for op in graph.ops if op.kind in kinds for index in op.inputs[1:3])


@pytest.mark.parametrize("which,smaller", [((0,), {"first": 12}), ((1,), {"second": 4}), ((2,), {"third": 8})])
def test_a_saving_is_what_the_narrower_network_saves(which, smaller):
    """Against the network built with half the channels."""
    whole, half = narrowing(), narrowing(**smaller)
    found = sorted(savings(whole), key=lambda saving: whole_index(whole, saving))[which[0]]
    assert found.arena_bytes == max(live_bytes(whole)) - max(live_bytes(half))
    assert found.model_bytes == constants(whole) - constants(half)
    assert len(found.layers) == (2 if "first" in smaller else 1), "what is added goes together"


def whole_index(graph, saving) -> int:
    return [graph.tensor(op.outputs[0]).name for op in graph.ops].index(saving.layers[0])


def test_the_largest_come_first_and_the_classes_stay():
    graph = run_passes(parse_tflite(MODELS["resnet8"][0](), "resnet8"))
    found, arena = savings(graph), max(live_bytes(graph))
    shares = [max(saving.arena_bytes / arena, saving.model_bytes / constants(graph)) for saving in found]
    assert len(found) == 3 and shares == sorted(shares, reverse=True)
    dense = next(op for op in graph.ops if op.kind == "FULLY_CONNECTED")
    assert not any(graph.tensor(dense.outputs[0]).name in saving.layers for saving in found)


@pytest.mark.parametrize("seed", range(3))
def test_genotypes_have_savings(seed):
    graph = shape_graph(random_genotype(random.Random(seed), channels=16))
    report = memory_report(graph, plan_memory(graph))
    assert len(report["savings"]) == 3 and all(item["macs"] > 0 for item in report["savings"])


def test_the_peak_names_what_is_alive():
    graph = narrowing()
    peak = memory_report(graph, plan_memory(graph))["peak"]
    assert peak["bytes"] == max(live_bytes(graph)) <= sum(item["bytes"] for item in peak["alive"])
    output = graph.ops[peak["step"]].outputs[0]
    assert graph.tensor(output).name == peak["output"] in [item["name"] for item in peak["alive"]]


def test_layers_add_up_and_boards_judge(tmp_path):
    model = compile_bytes(every_operator(), tmp_path)
    assert sum(layer.model_bytes for layer in model.layers) == model.model_bytes
    board = load_board("nucleo-l4r5zi")
    fit = board_fit(model, board)
    assert (
        fit.ram_bytes == model.arena_bytes + board.stack_bytes + fit.static_bytes
        and fit.flash_bytes == model.model_bytes + fit.code_bytes
    )
    assert not fit.warnings and fit.fits and set(fit.labels) < set(to_json(fit))
    tight = replace(board, memory=(Memory("FLASH", 0, fit.flash_bytes), Memory("RAM", 0, fit.ram_bytes - 7)))
    (warning,) = board_fit(model, tight).warnings
    assert "RAM (estimated)" in warning and warning.endswith("by 7 B")


def test_compile_says_so(tmp_path):
    """A model that does not fit is a warning of compile; the error is build's."""
    (tmp_path / "tiny").mkdir()
    text = (Path(load_board("nucleo-l4r5zi").folder) / "board.yaml").read_text()
    (tmp_path / "tiny" / "board.yaml").write_text(text.replace("0xA0000", "0x2400"))
    (tmp_path / "net.tflite").write_bytes(MODELS["ds_cnn"][0]())
    command = [
        Path(sys.executable).parent / "tinyflow",
        "compile",
        "--tflite",
        tmp_path / "net.tflite",
        "--runs",
        tmp_path / "runs",
        "--board",
        tmp_path / "tiny",
    ]
    said = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)[
        "compiled"
    ]
    assert said["fits"] == {"tiny": False} and "RAM" in said["boards"]["tiny"]["warnings"][0]
    assert (
        len(said["memory"]["savings"]) == 3
        and sum(layer["model_bytes"] for layer in said["by_layer"]) == said["model_bytes"]
    )
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "exceed the 9,216 B of tiny" in text and "saving 3: half the channels of" in text and "lower bound" in text
